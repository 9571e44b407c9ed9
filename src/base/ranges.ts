/**
 * Sets of ranges of whole numbers: free space, dirty pages, dead or live blocks. Ranges are half-open `[start, end)`,
 * kept sorted, disjoint and never adjacent.
 */
import { assert } from './assert.ts';

export interface Range {
  readonly start: number;
  readonly end: number;
}

export class RangeSet {
  private readonly starts: number[] = [];
  private readonly ends: number[] = [];
  private sum = 0;

  /** How many whole numbers are in the set. */
  get total(): number {
    return this.sum;
  }

  /** How many ranges are in the set. */
  get count(): number {
    return this.starts.length;
  }

  get isEmpty(): boolean {
    return this.starts.length === 0;
  }

  clear(): void {
    this.starts.length = 0;
    this.ends.length = 0;
    this.sum = 0;
  }

  /** Index of the first range that ends after `position`. */
  private indexAfter(position: number): number {
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ends[middle]! > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  add(start: number, end: number): void {
    assert(start <= end, `range ${start}..${end} is in order`);
    if (start === end) return;
    // The first range that touches [start, end) ends at `start` or later.
    const first = this.indexAfter(start - 1);
    let last = first;
    let mergedStart = start;
    let mergedEnd = end;
    while (last < this.starts.length && this.starts[last]! <= end) {
      mergedStart = Math.min(mergedStart, this.starts[last]!);
      mergedEnd = Math.max(mergedEnd, this.ends[last]!);
      this.sum -= this.ends[last]! - this.starts[last]!;
      last++;
    }
    this.starts.splice(first, last - first, mergedStart);
    this.ends.splice(first, last - first, mergedEnd);
    this.sum += mergedEnd - mergedStart;
  }

  remove(start: number, end: number): void {
    assert(start <= end, `range ${start}..${end} is in order`);
    if (start === end) return;
    let index = this.indexAfter(start);
    while (index < this.starts.length && this.starts[index]! < end) {
      const from = this.starts[index]!;
      const to = this.ends[index]!;
      this.sum -= Math.min(to, end) - Math.max(from, start);
      if (from < start && to > end) {
        this.ends[index] = start;
        this.starts.splice(index + 1, 0, end);
        this.ends.splice(index + 1, 0, to);
        return;
      }
      if (from < start) {
        this.ends[index] = start;
        index++;
      } else if (to > end) {
        this.starts[index] = end;
        return;
      } else {
        this.starts.splice(index, 1);
        this.ends.splice(index, 1);
      }
    }
  }

  has(position: number): boolean {
    const index = this.indexAfter(position);
    return index < this.starts.length && this.starts[index]! <= position;
  }

  /** True when every number of `[start, end)` is in the set. */
  contains(start: number, end: number): boolean {
    if (start >= end) return true;
    const index = this.indexAfter(start);
    return index < this.starts.length && this.starts[index]! <= start && this.ends[index]! >= end;
  }

  /** True when any number of `[start, end)` is in the set. */
  intersects(start: number, end: number): boolean {
    const index = this.indexAfter(start);
    return start < end && index < this.starts.length && this.starts[index]! < end;
  }

  /**
   * Removes `length` numbers from the first range that is long enough, and returns the first of them; undefined if no
   * range is long enough.
   */
  takeRun(length: number): number | undefined {
    for (let index = 0; index < this.starts.length; index++) {
      const start = this.starts[index]!;
      if (this.ends[index]! - start < length) continue;
      this.remove(start, start + length);
      return start;
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<Range> {
    for (let index = 0; index < this.starts.length; index++) {
      yield { start: this.starts[index]!, end: this.ends[index]! };
    }
  }

  /** The parts of `[start, end)` that are not in the set. */
  gaps(start: number, end: number): Range[] {
    const gaps: Range[] = [];
    let at = start;
    for (let index = this.indexAfter(start); index < this.starts.length && at < end; index++) {
      if (this.starts[index]! > at) gaps.push({ start: at, end: Math.min(this.starts[index]!, end) });
      at = Math.max(at, this.ends[index]!);
    }
    if (at < end) gaps.push({ start: at, end });
    return gaps;
  }
}
