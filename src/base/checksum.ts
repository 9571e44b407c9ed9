/**
 * The one checksum of the store: xxHash64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), computed by WebAssembly.
 * It finds damage, not malice. About 0.13 µs for a small record and 0.45 µs for a 4 KiB block.
 *
 * The WebAssembly module is made once, while this module loads; there is no other state that outlives a call.
 */
import xxhash from 'xxhash-wasm';

const { h64Raw } = await xxhash();

const NO_SEED = 0n;

/** How many bytes `writeChecksum` stores. */
export const CHECKSUM_BYTES = 8;

/** xxHash64 of `bytes`, in [0, 2^64). `seed` is in the same range. */
export function checksum64(bytes: Uint8Array, seed: bigint = NO_SEED): bigint {
  return h64Raw(bytes, seed);
}

const words = new BigUint64Array(1);
const wordBytes = new Uint8Array(words.buffer);
const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** Stores the checksum of `bytes` at `target[offset..offset+8]`, little-endian. */
export function writeChecksum(
  target: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  seed: bigint = NO_SEED,
): void {
  if (offset + CHECKSUM_BYTES > target.length) throw new RangeError(`no room for a checksum at ${offset}`);
  words[0] = h64Raw(bytes, seed);
  for (let index = 0; index < CHECKSUM_BYTES; index++) {
    target[offset + index] = wordBytes[isLittleEndian ? index : CHECKSUM_BYTES - 1 - index]!;
  }
}

/** Whether the eight bytes at `stored[offset]` are the checksum of `bytes`. */
export function isChecksum(
  stored: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  seed: bigint = NO_SEED,
): boolean {
  if (offset < 0 || offset + CHECKSUM_BYTES > stored.length) return false;
  words[0] = h64Raw(bytes, seed);
  for (let index = 0; index < CHECKSUM_BYTES; index++) {
    const expected = wordBytes[isLittleEndian ? index : CHECKSUM_BYTES - 1 - index];
    if (stored[offset + index] !== expected) return false;
  }
  return true;
}
