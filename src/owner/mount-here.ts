/**
 * Mounts of the owner, checked by the process that will use them. The owner may run in another mount namespace. Then
 * this process does not see the mount, and would take the plain directory at the mount point for the tree.
 */
import { FsError, nameFromString } from '../base/index.ts';
import { mountNamespace, mountsOf } from '../sys/index.ts';
import type { OwnerClient } from './client.ts';
import { type MountRecord, mountSource, type Parameters } from './protocol.ts';

/** Like the owner's `mount`. If this process does not see the mount, unmounts it again and throws ENOTSUP. */
export async function mountHere(owner: OwnerClient, parameters: Parameters<'mount'>): Promise<MountRecord> {
  const mount = await owner.request('mount', parameters);
  if (isSeenHere(mount)) return mount;
  await owner.request('unmount', { target: mount.directory, isLazy: true });
  throw notSeenHere('mount', mount);
}

/** Like the owner's `hold`. If this process does not see the mount, releases it again and throws ENOTSUP. */
export async function holdHere(owner: OwnerClient, parameters: Parameters<'hold'>): Promise<MountRecord> {
  const mount = await owner.request('hold', parameters);
  if (isSeenHere(mount)) return mount;
  await owner.request('release', { fork: mount.fork });
  throw notSeenHere('mount', mount);
}

/** ENOTSUP if this process does not see a mount of the owner, ENOTCONN if the mount is gone meanwhile. */
export function requireSeenHere(operation: string, mount: MountRecord): void {
  if (!isSeenHere(mount)) throw notSeenHere(operation, mount);
}

/** True if this process finds the tree at the mount point, or if it cannot list its mounts. */
function isSeenHere({ fork, directory, device }: MountRecord): boolean {
  const mounts = mountsOf();
  if (mounts.length === 0) return true;
  const [place, source] = [nameFromString(directory), nameFromString(mountSource(fork))];
  const found = mounts.find((mount) => mount.directory === place && !mount.isCovered);
  return found?.source === source && (device === undefined || found.device === device);
}

function notSeenHere(
  operation: string,
  { fork, directory, pid, mountNamespace: theirs }: MountRecord,
): FsError {
  const detail = { syscall: operation, path: fork, dest: directory };
  if (theirs === mountNamespace())
    return new FsError('ENOTCONN', { ...detail, note: 'it was unmounted meanwhile' });
  return new FsError('ENOTSUP', {
    ...detail,
    note:
      `the owner process (${pid}) runs in another mount namespace, and what it mounts is not seen in this one: ` +
      `run this command in its namespace, \`nsenter -m -t ${pid}\`, or end it with \`ramet owner stop\``,
  });
}
