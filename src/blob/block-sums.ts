/** The checksums of consecutive blocks, in an array that grows. */
import { assert, BLOCK_SIZE, checksum64 } from '../base/index.ts';
import { ZERO_BLOCK_SUM } from './sum-format.ts';

export class BlockSums {
  sums = new BigUint64Array(16);
  count = 0;

  private reserve(more: number): void {
    const need = this.count + more;
    if (need <= this.sums.length) return;
    const grown = new BigUint64Array(Math.max(need, this.sums.length * 2));
    grown.set(this.sums);
    this.sums = grown;
  }

  /** Adds the checksums of the blocks in `bytes[0..lengthBytes)`, which must be whole blocks. */
  addBlocks(bytes: Uint8Array, lengthBytes: number): void {
    assert(lengthBytes % BLOCK_SIZE === 0, 'checksums are of whole blocks');
    this.reserve(lengthBytes / BLOCK_SIZE);
    for (let at = 0; at < lengthBytes; at += BLOCK_SIZE) {
      this.sums[this.count++] = checksum64(bytes.subarray(at, at + BLOCK_SIZE));
    }
  }

  addHoles(count: number): void {
    this.reserve(count);
    this.sums.fill(ZERO_BLOCK_SUM, this.count, this.count + count);
    this.count += count;
  }
}
