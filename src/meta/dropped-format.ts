/**
 * Bytes of a row of the dropped table (space that no tree refers to and that waits for leases), and nothing else.
 * Key: see key-format.
 *
 *   varint  epoch at which the space was dropped
 *   varint  count of ranges; 0 means the whole blob. For each range, in order:
 *   varint  first block, as a distance from the last range's end (from 0 for the first)
 *   varint  count of blocks
 */
import type { ByteReader, ByteWriter, Range } from '../base/index.ts';
import { assert, DecodeError } from '../base/index.ts';

export interface DroppedRecord {
  epoch: number;
  /** Blocks of the blob, sorted and disjoint; empty means the whole blob. */
  ranges: Range[];
}

export function encodeDropped(writer: ByteWriter, dropped: DroppedRecord): void {
  writer.varint(dropped.epoch).varint(dropped.ranges.length);
  let last = 0;
  for (const range of dropped.ranges) {
    assert(
      range.start >= last && range.end > range.start,
      'dropped ranges are sorted, disjoint and not empty',
    );
    writer.varint(range.start - last).varint(range.end - range.start);
    last = range.end;
  }
}

export function decodeDropped(reader: ByteReader): DroppedRecord {
  const dropped: DroppedRecord = { epoch: reader.varint(), ranges: [] };
  const count = reader.varint();
  let last = 0;
  for (let index = 0; index < count; index++) {
    const start = last + reader.varint();
    last = start + reader.varint();
    if (last === start) throw new DecodeError('dropped range is empty');
    dropped.ranges.push({ start, end: last });
  }
  return dropped;
}
