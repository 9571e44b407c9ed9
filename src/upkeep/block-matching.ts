/**
 * Matching: finds blocks that look equal, by the checksums beside sealed blobs. No data is read here.
 *
 * Sources have an order. A block is matched with an earlier block, so the first of equal blocks stays and may replace
 * all others. If the index has no room for all blocks, a pass indexes those that fit, and the next pass begins with the
 * first block that did not fit. Later passes skip blocks that were moved.
 *
 * To keep file maps in few pieces, consecutive blocks preferably match consecutive blocks: where the checksum is the
 * same, a block takes the successor of its predecessor's match, or the predecessor of its successor's match. A file in
 * a blob of its own, which the kernel can read by itself, is broken up only where more than a small part of it is
 * shared.
 */
import { type BlobId, RangeSet } from '../base/index.ts';
import { ChecksumIndex } from './checksum-index.ts';

/** A blob of one file is broken up only where at least one block in this many is shared. */
const OWN_SHARE = 1024;
/** Sources whose checksums are kept in memory. */
const SUMS_KEPT = 16;

/** Blocks of a sealed blob. */
export interface BlockSource {
  readonly blob: BlobId;
  /** Whether the blob holds a single file. */
  readonly isOwn: boolean;
  /** The blocks that files refer to and that are not dropped. */
  readonly live: RangeSet;
}

/** `count` blocks of a source from `start` look equal to those of source `target` from `targetStart`. */
export interface BlockMatch {
  readonly start: number;
  readonly count: number;
  readonly target: number;
  readonly targetStart: number;
}

/** A block of a source, by the number of that source. */
export interface BlockPlace {
  readonly source: number;
  readonly block: number;
}

export class BlockMatching {
  private readonly sources: readonly BlockSource[];
  private readonly sumsOf: (source: BlockSource) => Uint32Array | undefined;
  private readonly index: ChecksumIndex;
  private readonly moved = new Map<number, RangeSet>();
  private readonly sums = new Map<number, Uint32Array | undefined>();
  /** For each block of the current source: the matching source plus 1, or 0 for none. */
  private targets = new Uint32Array(0);
  /** For each block of the current source: the matching block in the matching source. */
  private targetBlocks = new Uint32Array(0);
  /**
   * The start of the next pass: the first block that the index had no room for. Undefined if no further pass is needed.
   */
  nextPass: BlockPlace | undefined;

  /**
   * `sumsOf` returns the low and the high half of each block's checksum; undefined if the blob has no readable
   * checksums.
   */
  constructor(
    sources: readonly BlockSource[],
    sumsOf: (source: BlockSource) => Uint32Array | undefined,
    memoryBytes: number,
  ) {
    this.sources = sources;
    this.sumsOf = sumsOf;
    const blocks = sources.reduce((sum, { live }) => sum + live.total, 0);
    this.index = new ChecksumIndex(blocks, memoryBytes);
  }

  beginPass(): void {
    this.index.clear();
    this.nextPass = undefined;
  }

  /** Notes that these blocks were replaced by others, so that nothing matches them any more. */
  noteMoved(source: number, start: number, count: number): void {
    let moved = this.moved.get(source);
    if (moved === undefined) {
      moved = new RangeSet();
      this.moved.set(source, moved);
    }
    moved.add(start, start + count);
  }

  /** The matches of a source's blocks from `from` on. Call it for the sources in their order. */
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
      const next = this.targetBlocks[block - 1]! + 1;
      if (this.canTake(source, block, before - 1, next, low, high)) {
        this.setTarget(block, before - 1, next);
        return;
      }
    }
    if (this.index.find(low, high)) this.setTarget(block, this.index.foundSource, this.index.foundBlock);
    else if (!this.index.isFull && this.nextPass === undefined) this.index.add(low, high, source, block);
    else this.nextPass ??= { source, block };
  }

  private setTarget(block: number, target: number, targetBlock: number): void {
    this.targets[block] = target + 1;
    this.targetBlocks[block] = targetBlock;
  }

  /**
   * If a block has a match that continues neither neighbour's match, replaces it, where possible, by the predecessor of
   * the next block's match.
   */
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

  /** True if the target block has the given checksum, comes before `block` of `source`, and is not replaced itself. */
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
    const isKnown = this.sums.has(source);
    const sums = isKnown ? this.sums.get(source) : this.sumsOf(this.sources[source]!);
    if (isKnown && this.sums.size === 1) return sums;
    // Moves the source to the end of the map: the least recently used source is dropped first.
    this.sums.delete(source);
    this.sums.set(source, sums);
    if (this.sums.size > SUMS_KEPT) this.sums.delete(this.sums.keys().next().value!);
    return sums;
  }
}
