/** `ramet umount`: ends a mount. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { FsError, isFsError } from '../../base/index.ts';
import {
  deadMountOf,
  detachDeadMount,
  isDeadMount,
  OwnerClient,
  OwnerPlace,
  programsText,
  realMountPath,
  type UnmountReport,
} from '../../owner/index.ts';
import { examples } from '../command-line.ts';
import { type Lines, print } from '../output.ts';
import { CommandError } from '../problem.ts';
import { storeOf } from '../session.ts';

interface UmountFlags {
  readonly lazy?: boolean;
}

export function register(program: Command): void {
  program
    .command('umount')
    .description('unmount a fork or snapshot')
    .argument('<place>', 'the mount point, or the name of the tree')
    .option('--lazy', 'unmount even while programs use it: they continue, but no other program gets in')
    .addHelpText('after', examples('ramet umount /mnt/try-1', 'ramet umount --lazy try-1'))
    .action(async (place: string, flags: UmountFlags, command: Command) => {
      const { directory: store, isJson } = storeOf(command);
      await print(isJson, await unmount(store, place, flags.lazy === true), tell);
    });
}

async function unmount(store: string, place: string, isLazy: boolean): Promise<UnmountReport> {
  const directory = realMountPath(place);
  const owner = await OwnerClient.connect(store);
  try {
    if (owner === undefined) throw new FsError('EINVAL');
    return await owner.request('unmount', { target: await targetOf(owner, directory, place), isLazy });
  } catch (error) {
    // EINVAL: the owner does not know the mount; an owner that was killed may have left it. ENOTCONN: the owner was
    // killed just now.
    const isOwnerGone = isFsError(error, 'ENOTCONN') && error.syscall === 'owner';
    if (!isFsError(error, 'EINVAL') && !isOwnerGone) throw error;
    return takeDeadMount(store, place, directory, error);
  } finally {
    owner?.close();
  }
}

/**
 * Detaches a dead mount: its owner was killed, but the kernel still has the mount. If there is no dead mount, throws
 * `error`, or for EINVAL an error that says that nothing is mounted.
 */
function takeDeadMount(store: string, place: string, directory: string, error: FsError): UnmountReport {
  const found = isDeadMount(directory) ? directory : deadMountOf(place, new OwnerPlace(store));
  if (found === undefined) throw error.code === 'EINVAL' ? notMounted(place) : error;
  const cause = `${found} is a dead mount that may not be removed`;
  if (!detachDeadMount(found)) throw new CommandError('EPERM', cause, 'run it as root');
  return { fork: found === directory ? '' : place, directory: found, isStillUsed: false, users: [] };
}

/** The target for the owner: `directory` if it is a mount point, otherwise `place` as the name of a tree. */
async function targetOf(owner: OwnerClient, directory: string, place: string): Promise<string> {
  const mounts = await owner.request('mounts', {});
  return mounts.some((mount) => mount.directory === directory) ? directory : place;
}

function notMounted(place: string): CommandError {
  const what = existsSync(place)
    ? `nothing of this store is mounted at '${place}'`
    : `'${place}' is not mounted`;
  return new CommandError('EINVAL', what, '`ramet ls --mounts` lists what is');
}

function* tell({ fork, directory, isStillUsed, users }: UnmountReport): Lines {
  const name = fork === '' ? 'a mount whose owner process was killed' : `'${fork}'`;
  yield `unmounted ${name} from ${directory}`;
  if (isStillUsed) yield `${stillUsed(users)}: the tree is free when the last of them ends`;
}

export function stillUsed(users: readonly number[]): string {
  return `${programsText(users)} still use it`;
}
