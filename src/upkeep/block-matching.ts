/**
 * Matching: which blocks of a store look equal, by the checksums that lie beside sealed blobs. No data is read here.
 *
 * Sources have an order, and a block is matched with an earlier one: the first of its kind stays where it is, all
 * others may be taken from there. Where the index has no room for all blocks, a pass covers those that it could take
 * in, and the next pass begins with the first that it could not. Moved blocks are skipped from then on.
 *
 * Maps stay whole as far as possible: a block is taken from right behind the source of the block before it, or from
 * right before that of the next one, where the same bytes are there. A file in a blob of its own, which the kernel can
 * read by itself, is only broken up where more than a small part of it is shared.
 */
import { type BlobId, RangeSet } from '../base/index.ts';
import { ChecksumIndex } from './checksum-index.ts';

/** A blob of its own is left whole unless so much of it lies elsewhere: one block of 1,024. */
const OWN_SHARE = 1024;
/** Sources whose checksums are kept at hand to look around a match. */
const SUMS_KEPT = 16;

/** Blocks of a sealed blob. */
export interface BlockSource {
  readonly blob: BlobId;
  /** It is the blob of one file. */
  readonly isOwn: boolean;
  /** The blocks that files name and that are not about to be given back. */
  readonly live: RangeSet;
}

/** `count` blocks of a source from `start` look like those of source `target` from `targetStart`. */
export interface BlockMatch {
  readonly start: number;
  readonly count: number;
  readonly target: number;
  readonly targetStart: number;
}

/** Low and high half of each block's checksum; undefined where the blob has none that can be read. */
export type SumsOf = (source: BlockSource) => Uint32Array | undefined;

/** A source, by its number, and a block of it. */
export interface BlockPlace {
  readonly source: number;
  readonly block: number;
}

export class BlockMatching {
  private readonly sources: readonly BlockSource[];
  private readonly sumsOf: SumsOf;
  private readonly index: ChecksumIndex;
  private readonly moved = new Map<number, RangeSet>();
  private readonly sums = new Map<number, Uint32Array | undefined>();
  /** What the source at hand is matched with: one more than the target of each block, 0 for none, and its block. */
  private targets = new Uint32Array(0);
  private targetBlocks = new Uint32Array(0);
  /** The first block that this pass had no room for. */
  private next: BlockPlace | undefined;

  constructor(sources: readonly BlockSource[], sumsOf: SumsOf, memoryBytes: number) {
    this.sources = sources;
    this.sumsOf = sumsOf;
    const blocks = sources.reduce((sum, { live }) => sum + live.total, 0);
    this.index = new ChecksumIndex(blocks, memoryBytes);
  }

  /** Where the next pass begins; undefined when every block has been in the index. */
  get nextPass(): BlockPlace | undefined {
    return this.next;
  }

  beginPass(): void {
    this.index.clear();
    this.next = undefined;
  }

  /** These blocks are taken from elsewhere now. */
  noteMoved(source: number, start: number, count: number): void {
    let moved = this.moved.get(source);
    if (moved === undefined) {
      moved = new RangeSet();
      this.moved.set(source, moved);
    }
    moved.add(start, start + count);
  }

  /** What the blocks of a source from `from` on can be taken from. Sources come in their order. */
  match(source: number, from: number): BlockMatch[] {
    const sums = this.sumsAt(source);
    if (sums === undefined) return [];
    const { live } = this.sources[source]!;
    const blocks = sums.length / 2;
    this.targets = new Uint32Array(blocks);
    this.targetBlocks = new Uint32Array(blocks);
    const ranges = [...live].filter(({ end }) => end > from);
    for (const { start, end } of ranges) {
      const first = Math.max(start, from);
      const stop = Math.min(end, blocks);
      for (let block = first; block < stop; block++) this.matchBlock(source, sums, block, block > first);
      for (let block = stop - 2; block >= first; block--) this.alignWithNext(source, sums, block);
    }
    const matches = this.gather();
    return this.isWorth(source, matches) ? matches : [];
  }

  private matchBlock(source: number, sums: Uint32Array, block: number, hasBefore: boolean): void {
    if (this.moved.get(source)?.has(block) === true) return;
    const low = sums[2 * block]!;
    const high = sums[2 * block + 1]!;
    const before = hasBefore ? this.targets[block - 1]! : 0;
    if (before !== 0) {
      const behind = this.targetBlocks[block - 1]! + 1;
      if (this.canTake(source, block, before - 1, behind, low, high)) {
        this.setTarget(block, before - 1, behind);
        return;
      }
    }
    if (this.index.find(low, high)) this.setTarget(block, this.index.foundSource, this.index.foundBlock);
    else if (!this.index.isFull && this.next === undefined) this.index.add(low, high, source, block);
    else this.next ??= { source, block };
  }

  private setTarget(block: number, target: number, targetBlock: number): void {
    this.targets[block] = target + 1;
    this.targetBlocks[block] = targetBlock;
  }

  /** A block that continues nothing becomes the beginning of what the next one is taken from, if it can. */
  private alignWithNext(source: number, sums: Uint32Array, block: number): void {
    const target = this.targets[block]!;
    const next = this.targets[block + 1]!;
    const ahead = this.targetBlocks[block + 1]! - 1;
    if (target === 0 || next === 0 || ahead < 0) return;
    if (target === next && this.targetBlocks[block] === ahead) return;
    const before = block > 0 ? this.targets[block - 1] : 0;
    if (before === target && this.targetBlocks[block - 1]! + 1 === this.targetBlocks[block]) return;
    const [low, high] = [sums[2 * block]!, sums[2 * block + 1]!];
    if (this.canTake(source, block, next - 1, ahead, low, high)) this.setTarget(block, next - 1, ahead);
  }

  /** Whether a block comes earlier than `block` of `source`, stays where it is, and has the same checksum. */
  private canTake(
    source: number,
    block: number,
    target: number,
    targetBlock: number,
    low: number,
    high: number,
  ): boolean {
    if (target === source && (targetBlock >= block || this.targets[targetBlock] !== 0)) return false;
    const sums = this.sumsAt(target);
    if (sums === undefined || sums[2 * targetBlock] !== low || sums[2 * targetBlock + 1] !== high)
      return false;
    if (!this.sources[target]!.live.has(targetBlock)) return false;
    return this.moved.get(target)?.has(targetBlock) !== true;
  }

  private gather(): BlockMatch[] {
    const { targets, targetBlocks } = this;
    const matches: BlockMatch[] = [];
    for (let start = 0; start < targets.length; ) {
      const target = targets[start]!;
      let count = 1;
      if (target !== 0) {
        const first = targetBlocks[start]!;
        while (targets[start + count] === target && targetBlocks[start + count] === first + count) count++;
        matches.push({ start, count, target: target - 1, targetStart: first });
      }
      start += count;
    }
    return matches;
  }

  private isWorth(source: number, matches: readonly BlockMatch[]): boolean {
    const { isOwn, live } = this.sources[source]!;
    if (!isOwn) return true;
    const blocks = matches.reduce((sum, { count }) => sum + count, 0);
    return blocks * OWN_SHARE >= live.total;
  }

  private sumsAt(source: number): Uint32Array | undefined {
    if (this.sums.has(source)) {
      const known = this.sums.get(source);
      // The one used last is the last to go.
      if (this.sums.size > 1) {
        this.sums.delete(source);
        this.sums.set(source, known);
      }
      return known;
    }
    const loaded = this.sumsOf(this.sources[source]!);
    this.sums.set(source, loaded);
    if (this.sums.size > SUMS_KEPT) {
      for (const oldest of this.sums.keys()) {
        this.sums.delete(oldest);
        break;
      }
    }
    return loaded;
  }
}
