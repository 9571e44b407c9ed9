/**
 * Bytes of a row of the counter table. Key: see key-format.
 *
 *   u64  the value
 */
import { COUNTED_END, checked, type Format } from './fields.ts';

/**
 * The value of a counter without a row. Allocated numbers start at 1; inode numbers start at 2, since FUSE calls the
 * root 1.
 */
export const COUNTER_STARTS = {
  nextBlob: 1,
  nextLayer: 1,
  nextIno: 2,
  nextDev: 1,
  nextTree: 1,
  epoch: 0,
  builders: 0,
  remaps: 0,
  reaps: 0,
} as const;

export type CounterName = keyof typeof COUNTER_STARTS;

export const counterFormat: Format<number> = checked(
  {
    write: (writer, value) => void writer.u64(value),
    read: (reader) => reader.u64(),
  },
  (value) => (value < COUNTED_END ? undefined : `it has come to ${value}, and no numbers are left`),
);
