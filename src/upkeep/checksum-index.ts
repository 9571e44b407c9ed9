/**
 * Finds blocks by checksum: a hash table of fixed size, 16 bytes a slot. At most three slots in four are used, so a
 * full table takes 5.3 MiB for each GiB of different blocks.
 */
import { assert } from '../base/index.ts';

const SLOT_BYTES = 16;
const SLOTS_MIN = 64;

export class ChecksumIndex {
  /** Low and high half of each checksum. */
  private readonly sums: Uint32Array;
  /** Two numbers for each slot: the source plus 1, or 0 for a free slot; the block in that source. */
  private readonly places: Uint32Array;
  private readonly mask: number;
  private readonly countMax: number;
  private count = 0;

  /** The result of the last `find` that returned true. */
  foundSource = 0;
  foundBlock = 0;

  /** Has room for `blocks` blocks, or for as many as fit into `memoryBytes`. */
  constructor(blocks: number, memoryBytes: number) {
    let slots = SLOTS_MIN;
    while (slots * 0.75 < blocks && slots * 2 * SLOT_BYTES <= memoryBytes) slots *= 2;
    this.sums = new Uint32Array(slots * 2);
    this.places = new Uint32Array(slots * 2);
    this.mask = slots - 1;
    this.countMax = Math.floor(slots * 0.75);
  }

  get isFull(): boolean {
    return this.count === this.countMax;
  }

  clear(): void {
    this.places.fill(0);
    this.count = 0;
  }

  /** The slot with this checksum, or the free slot for it. */
  private slotOf(low: number, high: number): number {
    let slot = low & this.mask;
    while (this.places[2 * slot] !== 0) {
      if (this.sums[2 * slot] === low && this.sums[2 * slot + 1] === high) return slot;
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }

  find(low: number, high: number): boolean {
    const slot = this.slotOf(low, high);
    const source = this.places[2 * slot]!;
    if (source === 0) return false;
    this.foundSource = source - 1;
    this.foundBlock = this.places[2 * slot + 1]!;
    return true;
  }

  /** Adds a checksum that `find` does not find. */
  add(low: number, high: number, source: number, block: number): void {
    assert(!this.isFull, 'there is room in the index');
    const slot = this.slotOf(low, high);
    this.sums[2 * slot] = low;
    this.sums[2 * slot + 1] = high;
    this.places[2 * slot] = source + 1;
    this.places[2 * slot + 1] = block;
    this.count++;
  }
}
