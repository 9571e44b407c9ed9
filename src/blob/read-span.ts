/** What every read of a blob asks of its arguments. */
import { assert } from '../base/index.ts';

export function assertSpan(position: number, length: number, target: Uint8Array, offset: number): void {
  assert(position >= 0 && length >= 0, 'a read has a place and a length');
  assert(offset >= 0 && offset + length <= target.length, 'the target has room for the read');
}
