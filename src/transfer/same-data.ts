/** Whether two files have the same bytes; what is a hole in both is not read. */
import { RangeSet } from '../base/index.ts';
import type { DataSegment } from '../extent/index.ts';

const PIECE_BYTES = 1024 * 1024;
const [mine, theirs] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];

/** A file open for reading. */
export interface DataSource {
  readonly segments: readonly DataSegment[];
  /** The bytes read; fewer than `length` at the end of the file. */
  read(target: Buffer, length: number, position: number): number;
}

/** Of two files of one size. */
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
