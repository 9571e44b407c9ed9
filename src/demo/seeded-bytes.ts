/**
 * Pseudo-random bytes from a seed, at any position: the key stream of AES-128 in counter mode. They can be generated
 * again instead of read, no block equals another, and they do not compress.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { assert } from '../base/index.ts';

/** Bytes of one step of the counter. */
const STEP_BYTES = 16;
/** The most bytes that are made at once. */
export const CHUNK_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export class SeededBytes {
  private readonly key: Buffer;

  constructor(seed: string) {
    this.key = createHash('sha256').update(seed).digest().subarray(0, STEP_BYTES);
  }

  /** `length` bytes, at most 4 MiB, from `position`, a multiple of 16. The same every time. */
  at(position: number, length: number): Buffer {
    assert(position % STEP_BYTES === 0 && length <= CHUNK_BYTES, 'a chunk begins with a step of the counter');
    const counter = Buffer.alloc(STEP_BYTES);
    counter.writeBigUInt64BE(BigInt(position / STEP_BYTES), STEP_BYTES - 8);
    return createCipheriv('aes-128-ctr', this.key, counter).update(ZEROS.subarray(0, length));
  }
}
