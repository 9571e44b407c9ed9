/**
 * Bytes of a moment in a row, and nothing else.
 *
 *   i64  seconds since the epoch, negative before it; u32 nanoseconds
 */
import type { ByteReader, ByteWriter, Timespec } from '../base/index.ts';

export function writeTimespec(writer: ByteWriter, time: Timespec): void {
  writer.i64(time.seconds).u32(time.nanoseconds);
}

export function readTimespec(reader: ByteReader): Timespec {
  return { seconds: reader.i64(), nanoseconds: reader.u32() };
}
