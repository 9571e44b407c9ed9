/** `ramet mount`: mounts a fork or snapshot as an ordinary directory, served by the store's owner process. */
import { type Command, Option } from 'commander';
import { isFsError } from '../../base/index.ts';
import type { IoMode } from '../../fuse/index.ts';
import {
  checkMountPoint,
  IO_MODES,
  type MountedTrees,
  mountHere,
  OwnerClient,
  realMountPath,
} from '../../owner/index.ts';
import { examples } from '../command-line.ts';
import { print } from '../output.ts';
import { CommandError } from '../problem.ts';
import { namingTrees, withSession } from '../session.ts';

interface MountFlags {
  readonly io?: IoMode;
  readonly allowOther?: boolean;
  readonly noatime?: boolean;
}

/** The option `--io` of the commands that mount a tree. */
export function ioOption(): Option {
  return new Option(
    '--io <mode>',
    'how the kernel caches files: cached (the default), shared or direct',
  ).choices(IO_MODES);
}

/** The option `--noatime` of the commands that mount a tree; it means the same as for mount(8). */
export function noAtimeOption(): Option {
  return new Option('--noatime', 'leave access times alone, so that reading stores nothing');
}

export function register(program: Command): void {
  program
    .command('mount')
    .description('mount a fork or snapshot as a directory')
    .argument('<tree>', 'the fork or snapshot')
    .argument('<directory>', 'an empty directory, or the one that the fork stands on')
    .addOption(ioOption())
    .option('--allow-other', 'let other users in too')
    .addOption(noAtimeOption())
    .addHelpText(
      'after',
      examples('ramet mount try-1 /mnt/try-1', 'ramet mount base ./base --io shared', 'ramet umount try-1'),
    )
    .action((tree: string, directory: string, flags: MountFlags, command: Command) =>
      withSession(command, async (session) => {
        const { trees, isJson, directory: store } = session;
        const { source } = session.info(tree);
        const place = await placeFor(tree, directory, source, trees.mounted);
        const owner = await OwnerClient.connectOrStart(store);
        try {
          const { io, allowOther, noatime: noAtime } = flags;
          const wanted = { fork: tree, directory: place, io, allowOther, noAtime };
          const mount = await namingTrees([tree], () => mountHere(owner, wanted));
          await print(isJson, mount, () => [`mounted '${tree}' at ${mount.directory}`]);
        } finally {
          owner.close();
        }
      }),
    );
}

/**
 * Checks the mount point and returns its path. Errors are those of `checkMountPoint`; if the tree itself is mounted
 * there already, the message of the EBUSY says so.
 */
async function placeFor(
  tree: string,
  directory: string,
  source: string,
  mounted: MountedTrees,
): Promise<string> {
  try {
    return checkMountPoint(directory, source);
  } catch (error) {
    if (!isFsError(error, 'EBUSY')) throw error;
    const mount = await mounted.find(tree);
    if (mount === undefined || mount.isDetached || mount.directory !== realMountPath(directory)) throw error;
    throw new CommandError('EBUSY', `'${tree}' is mounted at ${mount.directory} already`, 'use it there');
  }
}
