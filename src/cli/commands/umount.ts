/** `ramet umount`: ends a mount. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { FsError, isFsError } from '../../base/index.ts';
import {
  detachDeadMount,
  isDeadMount,
  OwnerClient,
  programsText,
  realMountPath,
  type UnmountReport,
} from '../../owner/index.ts';
import { examples } from '../examples.ts';
import { printable, writeJson, writeLine } from '../output.ts';
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
    .option('--lazy', 'even while programs use it: they go on, and no other program gets in')
    .addHelpText('after', examples('ramet umount /mnt/try-1', 'ramet umount --lazy try-1'))
    .action(async (place: string, flags: UmountFlags, command: Command) => {
      const { directory: store, isJson } = storeOf(command);
      const report = await unmount(store, place, flags.lazy === true);
      if (isJson) await writeJson(report);
      else await tell(report);
    });
}

async function unmount(store: string, place: string, isLazy: boolean): Promise<UnmountReport> {
  const directory = realMountPath(place);
  const owner = await OwnerClient.connect(store);
  try {
    if (owner === undefined) throw new FsError('EINVAL');
    return await owner.request('unmount', { target: await targetOf(owner, directory, place), isLazy });
  } catch (error) {
    if (!isFsError(error, 'EINVAL')) throw error;
    if (!isDeadMount(directory)) throw notMounted(place);
    // Its owner was killed: the kernel still has it, and nobody serves it.
    if (!detachDeadMount(directory)) {
      throw new CommandError(
        'EPERM',
        `${directory} is a dead mount that may not be removed`,
        'run it as root',
      );
    }
    return { fork: '', directory, isStillUsed: false, users: [] };
  } finally {
    owner?.close();
  }
}

/** A mount point is looked for first: a directory may have the name of a fork. */
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

async function tell({ fork, directory, isStillUsed, users }: UnmountReport): Promise<void> {
  const name = fork === '' ? 'a mount whose owner process was killed' : `'${fork}'`;
  await writeLine(`unmounted ${name} from ${printable(directory)}`);
  if (isStillUsed) await writeLine(`${stillUsed(users)}: the tree is free when the last of them ends`);
}

export function stillUsed(users: readonly number[]): string {
  return `${programsText(users)} still use it`;
}
