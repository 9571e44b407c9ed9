/**
 * Bytes of a row of the dropped table: space that no tree refers to, kept while a process has a lease from before
 * the drop. Key: see key-format.
 *
 *   varint  epoch at which the space was dropped
 *   varint  count of ranges; 0 means the whole blob. For each range, in order:
 *   varint  first block, as a distance from the previous range's end (from 0 for the first)
 *   varint  count of blocks
 */
import { assert, DecodeError, type Range } from '../base/index.ts';
import { BLOCKS_END, type Format } from './fields.ts';

export interface DroppedRecord {
  epoch: number;
  /** Blocks of the blob, sorted and disjoint; empty means the whole blob. */
  ranges: Range[];
}

export const droppedFormat: Format<DroppedRecord> = {
  write(writer, { epoch, ranges }) {
    writer.varint(epoch).varint(ranges.length);
    let last = 0;
    for (const { start, end } of ranges) {
      assert(start >= last && end > start, 'dropped ranges are sorted, disjoint and not empty');
      writer.varint(start - last).varint(end - start);
      last = end;
    }
  },
  read(reader) {
    const dropped: DroppedRecord = { epoch: reader.varint(), ranges: [] };
    let last = 0;
    for (let count = reader.varint(); count > 0; count--) {
      const start = last + reader.varint();
      last = start + reader.varint();
      if (last === start || last > BLOCKS_END) throw new DecodeError('dropped range is empty or too long');
      dropped.ranges.push({ start, end: last });
    }
    return dropped;
  },
};
