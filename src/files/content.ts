/** The content of files: finds its data segments, copies it, and compares it. */
import { FsError, isFsError, RangeSet } from '../base/index.ts';
import { type DataSegment, dataSegments } from '../extent/index.ts';
import type { TreeFile, TreeFiles } from '../vfs/index.ts';

const PIECE_BYTES = 1024 * 1024;
const [mine, theirs] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];

/** A file open for reading. */
export interface DataSource {
  readonly segments: readonly DataSegment[];
  /** The bytes read; fewer than `length` at the end of the file. */
  read(target: Buffer, length: number, position: number): number;
}

/** Makes a call, and adds its name and path to errors. */
export type Naming = <T>(syscall: string, call: () => T) => T;

const unnamed: Naming = (_syscall, call) => call();

/** The data of an open file of this size. Errors as of lseek(2) and read(2). */
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

/** Undefined for ENXIO, which lseek(2) has where there is nothing more. */
function orNone(seek: () => number): number | undefined {
  try {
    return seek();
  } catch (error) {
    if (isFsError(error, 'ENXIO')) return undefined;
    throw error;
  }
}

/** A file open for writing, which is empty at first. */
export interface DataTarget {
  write(bytes: Buffer, length: number, position: number): void;
  setSize(sizeBytes: number): void;
}

/** Writes an open file. Errors as of write(2) and ftruncate(2). */
export function targetOf(files: TreeFiles, file: TreeFile, naming: Naming): DataTarget {
  return {
    // A short write means a full disk: the call for the rest then fails.
    write: (bytes, length, position) =>
      naming('write', () => {
        for (let done = 0; done < length; )
          done += files.write(file, bytes, done, length - done, position + done);
      }),
    setSize: (sizeBytes) => naming('ftruncate', () => files.truncateFile(file, sizeBytes)),
  };
}

/**
 * Copies the bytes of a file of this size, holes as holes. `pause` is called after each piece, and its promise awaited
 * if there is one. EIO when the source, which messages call `shown`, became shorter meanwhile.
 */
export async function copyContent(
  source: DataSource,
  target: DataTarget,
  sizeBytes: number,
  shown: string,
  pause?: () => Promise<void> | undefined,
): Promise<void> {
  const dataBytes = source.segments.reduce((sum, { start, end }) => sum + end - start, 0);
  // Where there are holes, the size comes first: when a file grows over a hole, XFS fills that with preallocated
  // blocks.
  if (dataBytes < sizeBytes) target.setSize(sizeBytes);
  for (const { start, end } of source.segments) {
    for (let position = start; position < end; position += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, end - position);
      // The buffer is shared, so nothing else may run between these two.
      if (source.read(mine, length, position) < length) throw shortened(shown);
      target.write(mine, length, position);
      const paused = pause?.();
      if (paused !== undefined) await paused;
    }
  }
}

/** The error for a file that has fewer bytes than its size said. `path` is for messages. */
export function shortened(path: string): FsError {
  const note = 'the file became shorter while it was copied: try again';
  return new FsError('EIO', { syscall: 'read', path, note });
}

/** Whether two files of the same size have the same bytes. Where both have a hole nothing is read. */
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
