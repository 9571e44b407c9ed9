/**
 * Pseudo-random bytes from a seed, at any position: the key stream of AES-128 in counter mode. The demo can generate
 * them again instead of reading them, no two blocks are equal, and they do not compress.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { assert } from '../base/index.ts';

/** Bytes that one step of the counter yields. */
const STEP_BYTES = 16;
/** Length of the largest chunk that one call makes. */
export const CHUNK_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export class SeededBytes {
  private readonly key: Buffer;

  constructor(seed: string) {
    this.key = createHash('sha256').update(seed).digest().subarray(0, STEP_BYTES);
  }

  /** The `length` bytes (4 MiB at most) from `position`, a multiple of 16. The same bytes at every call. */
  at(position: number, length: number): Buffer {
    assert(position % STEP_BYTES === 0 && length <= CHUNK_BYTES, 'a chunk begins with a step of the counter');
    const counter = Buffer.alloc(STEP_BYTES);
    counter.writeBigUInt64BE(BigInt(position / STEP_BYTES), STEP_BYTES - 8);
    return createCipheriv('aes-128-ctr', this.key, counter).update(ZEROS.subarray(0, length));
  }
}
