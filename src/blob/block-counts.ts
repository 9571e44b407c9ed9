/** Reference counts of the blocks of an active blob: how many extents of its layer name each block. */
import { assert } from '../base/index.ts';

export class BlockCounts {
  /** 32 bits: reflinks within one layer may name a block more than 65,535 times. */
  private counts = new Uint32Array(64);

  get(block: number): number {
    return block < this.counts.length ? this.counts[block]! : 0;
  }

  /** Adds one reference to each block of `[start, end)`. */
  increase(start: number, end: number): void {
    if (end > this.counts.length) {
      const grown = new Uint32Array(Math.max(end, this.counts.length * 2));
      grown.set(this.counts);
      this.counts = grown;
    }
    const { counts } = this;
    for (let block = start; block < end; block++) counts[block]!++;
  }

  /**
   * Takes one reference from each block of `[start, end)`. Calls `visit` for each run of these blocks that are now all
   * used, or all unused.
   */
  decrease(start: number, end: number, visit: (start: number, end: number, isUnused: boolean) => void): void {
    assert(this.areUsed(start, end), 'only blocks with references lose one');
    const { counts } = this;
    let from = start;
    for (let block = start; block < end; block++) {
      const isUnused = --counts[block]! === 0;
      const isLast = block + 1 === end || (counts[block + 1] === 1) !== isUnused;
      if (!isLast) continue;
      visit(from, block + 1, isUnused);
      from = block + 1;
    }
  }

  clear(start: number, end: number): void {
    this.counts.fill(0, start, end);
  }

  areUsed(start: number, end: number): boolean {
    if (end > this.counts.length) return false;
    for (let block = start; block < end; block++) if (this.counts[block] === 0) return false;
    return true;
  }

  areUnused(start: number, end: number): boolean {
    const stop = Math.min(end, this.counts.length);
    for (let block = start; block < stop; block++) if (this.counts[block] !== 0) return false;
    return true;
  }
}
