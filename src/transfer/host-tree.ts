/** Checks of host files for imports, and paths for their errors. */

import { FsError, isSameTimespec, SECTOR_BYTES } from '../base/index.ts';
import { type DataSegment, dataSegments } from '../extent/index.ts';
import type { HostStat, System } from '../sys/index.ts';

/** True if two stats show, as far as a host tells, the same file with the same content. */
export function isUnchanged(before: HostStat, after: HostStat): boolean {
  return (
    before.ino === after.ino &&
    before.dev === after.dev &&
    before.size === after.size &&
    isSameTimespec(before.mtime, after.mtime) &&
    isSameTimespec(before.ctime, after.ctime)
  );
}

/** Adds the path to an error that has none. */
export function withPath(error: unknown, syscall: string, path: string): unknown {
  if (!(error instanceof FsError) || error.path !== undefined) return error;
  return error.in({ syscall: error.syscall ?? syscall, path });
}

/** The data segments of an open host file. A file with all blocks allocated is one segment, which takes no seek. */
export function hostSegments(system: System, fd: number, stat: HostStat): DataSegment[] {
  if (stat.size === 0) return [];
  if (stat.blocks * SECTOR_BYTES >= stat.size) return [{ start: 0, end: stat.size }];
  const calls = {
    seekData: (position: number) => system.seekData(fd, position),
    seekHole: (position: number) => system.seekHole(fd, position),
  };
  return dataSegments(calls, stat.size);
}
