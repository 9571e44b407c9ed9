/** Checks of positions and lengths that callers pass, made before any address is computed. */
import { AssertionError, BLOCK_SIZE } from '../base/index.ts';

/** AssertionError unless `bytes[offset..offset+length)` lies inside the array. A detached array has length 0. */
export function checkSpan(bytes: Uint8Array, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= bytes.length) return;
  throw new AssertionError(
    `internal invariant broken: ${length} bytes at ${offset} lie inside an array of ${bytes.length}`,
  );
}

/** AssertionError unless both are whole blocks, `start` is not negative, and `length` is positive. */
export function checkBlocks(start: number, length: number): void {
  if (start >= 0 && length > 0 && start % BLOCK_SIZE === 0 && length % BLOCK_SIZE === 0) return;
  throw new AssertionError(
    `internal invariant broken: ${length} bytes at ${start} are whole blocks of ${BLOCK_SIZE}`,
  );
}
