/** Host paths as bytes, and the questions that import, export and their tests ask of a host file. */

import { FsError, isSameTimespec, nameToBytes, SECTOR_BYTES } from '../base/index.ts';
import { type DataSegment, dataSegments } from '../extent/index.ts';
import type { HostStat, System } from '../sys/index.ts';

const SLASH = Buffer.from('/');

/** Joins a host directory's path and an entry's name (a byte string). */
export function joinHost(directory: Buffer, name: string): Buffer {
  if (directory.length > 0 && directory[directory.length - 1] === 0x2f) {
    return Buffer.concat([directory, nameToBytes(name)]);
  }
  return Buffer.concat([directory, SLASH, nameToBytes(name)]);
}

/** A host path for messages; bytes that are not UTF-8 become U+FFFD. */
export function showHost(path: Buffer): string {
  return path.toString('utf8');
}

/** Whether a file is, as far as the host says, the same file with the same content as before. */
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
export function withPath(error: unknown, syscall: string, path: Buffer): unknown {
  if (!(error instanceof FsError) || error.path !== undefined) return error;
  return error.in({ syscall: error.syscall ?? syscall, path: showHost(path) });
}

/** Runs one call on a host path; its error names the path. */
export function onHost<T>(syscall: string, path: Buffer, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw withPath(error, syscall, path);
  }
}

/** The data segments of an open host file of this size. */
export function fileSegments(system: System, fd: number, sizeBytes: number): DataSegment[] {
  const calls = {
    seekData: (position: number) => system.seekData(fd, position),
    seekHole: (position: number) => system.seekHole(fd, position),
  };
  return dataSegments(calls, sizeBytes);
}

/** As `fileSegments`, but a file with all its blocks allocated is not asked. */
export function hostSegments(system: System, fd: number, stat: HostStat): DataSegment[] {
  if (stat.size === 0) return [];
  if (stat.blocks * SECTOR_BYTES >= stat.size) return [{ start: 0, end: stat.size }];
  return fileSegments(system, fd, stat.size);
}
