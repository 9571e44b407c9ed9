/** The identity of a directory of the host: remembered, and compared with what is at its place later. */
import { isFsError, nameToBytes } from '../base/index.ts';
import type { HostIdentity } from '../meta/index.ts';
import { type HostMounts, type HostStat, O_DIRECTORY, O_PATH, O_RDONLY, type System } from '../sys/index.ts';

/** The type of the mounts that `fuse` makes. */
const MOUNT_TYPE = 'fuse.ramet';

/** Whether a look at the path may be answered by Ramet, maybe by this very process. */
export function leadsThroughRamet(mounts: HostMounts, path: string): boolean {
  return mounts.leadsThrough(path, MOUNT_TYPE);
}

/** Opens a directory by its path, a byte string, symlinks followed up to the last name. Errors of the host. */
export function openDirectory(system: System, path: string): number {
  const bytes = nameToBytes(path);
  try {
    return system.openHost(bytes, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    // Names can be looked up in one that cannot be listed.
    if (!isFsError(error, 'EACCES')) throw error;
    return system.openHost(bytes, O_PATH | O_DIRECTORY);
  }
}

/** Of an open directory; `stat` is what statx(2) says of it. */
export function directoryIdentity(
  system: System,
  fd: number,
  { ino, btime, subvolume }: HostStat = system.statFile(fd),
): HostIdentity {
  return { ino, birth: btime, fileSystemUuid: system.fileSystemUuid(fd), subvolume };
}
