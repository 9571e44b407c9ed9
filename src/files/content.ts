/** The content of files: finds its data segments, copies it, and compares it. */
import { FsError, isFsError, RangeSet } from '../base/index.ts';
import { type DataSegment, dataSegments } from '../extent/index.ts';
import type { TreeFile, TreeFiles } from '../vfs/index.ts';

const PIECE_BYTES = 1024 * 1024;
const [mine, theirs] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];

/** A file open for reading. */
export interface DataSource {
  readonly segments: readonly DataSegment[];
  /** Returns how many bytes it read; fewer than `length` only at the end of the file. */
  read(target: Buffer, length: number, position: number): number;
}

/** Makes a call, and adds the name of the system call and a path to its errors. */
export type Naming = <T>(syscall: string, call: () => T) => T;

const unnamed: Naming = (_syscall, call) => call();

/** The data of an open file of this size. Fails with the errors of lseek(2) and read(2). */
export function dataOf(
  files: TreeFiles,
  file: TreeFile,
  sizeBytes: number,
  naming: Naming = unnamed,
): DataSource {
  return {
    segments: naming('lseek', () => segmentsOf(files, file, sizeBytes)),
    read: (target, length, position) => naming('read', () => files.read(file, target, 0, length, position)),
  };
}

/** The data segments of an open file of this size. */
function segmentsOf(files: TreeFiles, file: TreeFile, sizeBytes: number): DataSegment[] {
  const calls = {
    seekData: (position: number) => orNone(() => files.seekData(file, position)),
    seekHole: (position: number) => orNone(() => files.seekHole(file, position)),
  };
  return dataSegments(calls, sizeBytes);
}

/** Makes a call like lseek(2). Returns undefined for ENXIO: there is no more data or no hole after the position. */
function orNone(seek: () => number): number | undefined {
  try {
    return seek();
  } catch (error) {
    if (isFsError(error, 'ENXIO')) return undefined;
    throw error;
  }
}

/** An empty file, open for writing. */
export interface DataTarget {
  write(bytes: Buffer, length: number, position: number): void;
  setSize(sizeBytes: number): void;
}

/** Writes to an open file. Fails with the errors of write(2) and ftruncate(2). */
export function targetOf(files: TreeFiles, file: TreeFile, naming: Naming): DataTarget {
  return {
    // A short write means a full disk: then the next call, for the rest, fails.
    write: (bytes, length, position) =>
      naming('write', () => {
        for (let done = 0; done < length; )
          done += files.write(file, bytes, done, length - done, position + done);
      }),
    setSize: (sizeBytes) => naming('ftruncate', () => files.truncateFile(file, sizeBytes)),
  };
}

/**
 * Copies the bytes of a file of this size, and leaves holes as holes. Calls `pause` after each piece, and awaits the
 * promise if it returns one. EIO if the source became shorter meanwhile; messages name the source `shown`.
 */
export async function copyContent(
  source: DataSource,
  target: DataTarget,
  sizeBytes: number,
  shown: string,
  pause?: () => Promise<void> | undefined,
): Promise<void> {
  const dataBytes = source.segments.reduce((sum, { start, end }) => sum + end - start, 0);
  // If there are holes, set the size first, because when a write makes a file grow over a hole, XFS fills the hole with
  // preallocated blocks.
  if (dataBytes < sizeBytes) target.setSize(sizeBytes);
  for (const { start, end } of source.segments) {
    for (let position = start; position < end; position += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, end - position);
      // All copies share this buffer, so nothing else may run between read and write.
      if (source.read(mine, length, position) < length) throw shortened(shown);
      target.write(mine, length, position);
      const paused = pause?.();
      if (paused !== undefined) await paused;
    }
  }
}

/** The EIO error for a file that became shorter while it was copied. `path` is for the message. */
export function shortened(path: string): FsError {
  const note = 'the file became shorter while it was copied: try again';
  return new FsError('EIO', { syscall: 'read', path, note });
}

/** True if two files of the same size have the same bytes. Does not read ranges that are holes in both. */
export function isSameData(left: DataSource, right: DataSource): boolean {
  const data = new RangeSet();
  for (const { start, end } of [...left.segments, ...right.segments]) data.add(start, end);
  for (const { start, end } of data) {
    for (let position = start; position < end; position += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, end - position);
      const count = left.read(mine, length, position);
      if (right.read(theirs, length, position) !== count) return false;
      if (mine.compare(theirs, 0, count, 0, count) !== 0) return false;
    }
  }
  return true;
}
