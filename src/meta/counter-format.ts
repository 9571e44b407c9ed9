/**
 * Bytes of a row of the counter table, and nothing else. Key: see key-format.
 *
 *   u64  the value; a counter that has no row is 1 (nextBlob, nextLayer, …: the first number that is given out),
 *        except `epoch`, `builders` and `remaps`, which are 0, and `nextIno`, which is 2: to the kernel 1 is a root
 */
import type { ByteReader, ByteWriter } from '../base/index.ts';

export type CounterName =
  | 'nextBlob'
  | 'nextLayer'
  | 'nextIno'
  | 'nextDev'
  | 'nextTree'
  | 'epoch'
  | 'builders'
  | 'remaps';

export function encodeCounter(writer: ByteWriter, value: number): void {
  writer.u64(value);
}

export function decodeCounter(reader: ByteReader): number {
  return reader.u64();
}

/** The value of a counter that has no row. */
export function counterStart(name: CounterName): number {
  if (name === 'nextIno') return 2;
  return name === 'epoch' || name === 'builders' || name === 'remaps' ? 0 : 1;
}
