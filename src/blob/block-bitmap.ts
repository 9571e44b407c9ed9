/** A set of blocks of one blob, one bit per block. */
import { assert } from '../base/index.ts';

export class BlockBitmap {
  private bits = new Uint8Array(0);

  /** Makes room for blocks below `count`. New bits are clear. */
  grow(count: number): void {
    const bytes = (count + 7) >>> 3;
    if (bytes <= this.bits.length) return;
    const grown = new Uint8Array(Math.max(bytes, this.bits.length * 2));
    grown.set(this.bits);
    this.bits = grown;
  }

  has(block: number): boolean {
    return ((this.bits[block >>> 3]! >>> (block & 7)) & 1) === 1;
  }

  set(block: number): void {
    this.bits[block >>> 3]! |= 1 << (block & 7);
  }

  setRange(start: number, end: number): void {
    assert(end <= this.bits.length * 8, 'the bitmap has room for the range');
    let block = start;
    while (block < end) {
      if ((block & 7) === 0 && end - block >= 8) {
        this.bits.fill(0xff, block >>> 3, end >>> 3);
        block = end - (end & 7);
        if (block === end) return;
      }
      this.set(block++);
    }
  }

  clearRange(start: number, end: number): void {
    const stop = Math.min(end, this.bits.length * 8);
    for (let block = start; block < stop; block++) this.bits[block >>> 3]! &= ~(1 << (block & 7));
  }

  /** The first block of `[start, end)` whose bit is clear, or `end`. */
  nextClear(start: number, end: number): number {
    return this.next(start, end, 0, 0xff);
  }

  /** The first block of `[start, end)` whose bit is set, or `end`. */
  nextSet(start: number, end: number): number {
    return this.next(start, end, 1, 0);
  }

  private next(start: number, end: number, wanted: number, byteToSkip: number): number {
    const { bits } = this;
    let block = start;
    while (block < end) {
      const byte = bits[block >>> 3]!;
      if (byte === byteToSkip) block = (block | 7) + 1;
      else if (((byte >>> (block & 7)) & 1) === wanted) return block;
      else block++;
    }
    return end;
  }
}
