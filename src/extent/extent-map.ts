/**
 * The extent map of one inode: logical blocks → blocks of blobs. The map keeps its runs in chunks of 1,024 logical
 * blocks. A run belongs to the chunk of its first block and may reach past it, so an unfragmented file of any size is
 * one run. Each chunk is also a row of the extent table, and the map knows which chunks have changed since they were
 * stored.
 *
 * Invariants (checked by fsck pass `extents`): runs are sorted, disjoint and never empty; a run is in the chunk of its
 * first block; no run continues its predecessor both logically and physically, since `set` joins such runs.
 */
import { assert, type BlobId, type BlockIndex, CHUNK_BLOCKS, type Run } from '../base/index.ts';

/** Called with every piece of a run that leaves the map. */
export type RemovedVisitor = (blob: BlobId, physical: BlockIndex, count: number) => void;

/** The runs that start in one chunk, as parallel arrays. */
class Chunk {
  readonly index: number;
  readonly logical: number[];
  readonly count: number[];
  readonly blob: number[];
  readonly physical: number[];

  /**
   * The arrays start with one run, often the only one. Arrays that grow from empty would have space for 17 elements.
   */
  constructor(index: number, logical: number, count: number, blob: number, physical: number) {
    this.index = index;
    this.logical = [logical];
    this.count = [count];
    this.blob = [blob];
    this.physical = [physical];
  }

  runAt(position: number): Run {
    // The casts: the map was given branded numbers; these arrays do not keep the brands.
    return {
      logical: this.logical[position]! as BlockIndex,
      count: this.count[position]!,
      blob: this.blob[position]! as BlobId,
      physical: this.physical[position]! as BlockIndex,
    };
  }

  /** Position of the first run that starts after `block`. */
  positionAfter(block: number): number {
    let low = 0;
    let high = this.logical.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.logical[middle]! > block) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  insert(at: number, logical: number, count: number, blob: number, physical: number): void {
    this.logical.splice(at, 0, logical);
    this.count.splice(at, 0, count);
    this.blob.splice(at, 0, blob);
    this.physical.splice(at, 0, physical);
  }

  delete(at: number, howMany: number): void {
    this.logical.splice(at, howMany);
    this.count.splice(at, howMany);
    this.blob.splice(at, howMany);
    this.physical.splice(at, howMany);
  }
}

const NONE: ReadonlySet<number> = new Set();

export class ExtentMap {
  /** Sorted by index; no chunk is empty. */
  private chunks: Chunk[] = [];
  private dirty: Set<number> | undefined;
  private blocks = 0;
  private runs = 0;

  /** The result of the last `locate`. */
  foundBlob = 0 as BlobId;
  foundPhysical = 0 as BlockIndex;
  foundCount = 0;

  static fromRuns(runs: Iterable<Run>): ExtentMap {
    const map = new ExtentMap();
    for (const run of runs) map.append(run.logical, run.count, run.blob, run.physical);
    return map;
  }

  /** How many blocks are mapped, each of 4,096 bytes. */
  get blockCount(): number {
    return this.blocks;
  }

  get runCount(): number {
    return this.runs;
  }

  /** The block after the last mapped one; 0 when nothing is mapped. */
  get endBlock(): BlockIndex {
    const chunk = this.chunks[this.chunks.length - 1];
    if (chunk === undefined) return 0 as BlockIndex;
    const last = chunk.logical.length - 1;
    return (chunk.logical[last]! + chunk.count[last]!) as BlockIndex;
  }

  get isDirty(): boolean {
    return this.dirty !== undefined;
  }

  /** The chunks that changed since `clearDirty`, in no order. */
  get dirtyChunks(): ReadonlySet<number> {
    return this.dirty ?? NONE;
  }

  clearDirty(): void {
    this.dirty = undefined;
  }

  private markDirty(chunk: number): void {
    this.dirty ??= new Set();
    this.dirty.add(chunk);
  }

  /** Marks every chunk as changed. Call this before the map is stored in another layer (copy-up). */
  markAllDirty(): void {
    for (const chunk of this.chunks) this.markDirty(chunk.index);
  }

  /** Position in `chunks` of the last chunk whose index is at most `index`, or -1. */
  private chunkAtOrBefore(index: number): number {
    const chunks = this.chunks;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (chunks[middle]!.index > index) high = middle;
      else low = middle + 1;
    }
    return low - 1;
  }

  /** Puts a run into the chunk of its first block, and returns that chunk. The range must be a hole. */
  private insert(logical: number, count: number, blob: number, physical: number): Chunk {
    const index = Math.floor(logical / CHUNK_BLOCKS);
    const at = this.chunkAtOrBefore(index);
    const found = this.chunks[at];
    if (found !== undefined && found.index === index) {
      found.insert(found.positionAfter(logical), logical, count, blob, physical);
      return found;
    }
    const chunk = new Chunk(index, logical, count, blob, physical);
    if (at + 1 === this.chunks.length) this.chunks.push(chunk);
    else this.chunks.splice(at + 1, 0, chunk);
    return chunk;
  }

  /**
   * Finds where `block` is: sets `foundBlob` (0 for a hole), `foundPhysical`, and `foundCount`, the blocks from
   * `block` to the end of the run or of the hole (Infinity for the hole after the last run).
   */
  locate(block: number): void {
    const chunks = this.chunks;
    const at = this.chunkAtOrBefore(Math.floor(block / CHUNK_BLOCKS));
    let chunk = chunks[at];
    let position = -1;
    if (chunk !== undefined) {
      position = chunk.positionAfter(block) - 1;
      if (position < 0) {
        chunk = chunks[at - 1];
        if (chunk !== undefined) position = chunk.logical.length - 1;
      }
    }
    if (chunk !== undefined && position >= 0) {
      const within = block - chunk.logical[position]!;
      const count = chunk.count[position]!;
      if (within < count) {
        this.foundBlob = chunk.blob[position]! as BlobId;
        this.foundPhysical = (chunk.physical[position]! + within) as BlockIndex;
        this.foundCount = count - within;
        return;
      }
    }
    this.foundBlob = 0 as BlobId;
    this.foundPhysical = 0 as BlockIndex;
    this.foundCount = this.nextStart(block) - block;
  }

  /** The logical start of the first run after `block`, Infinity when there is none. */
  private nextStart(block: number): number {
    let at = this.chunkAtOrBefore(Math.floor(block / CHUNK_BLOCKS));
    if (at >= 0) {
      const chunk = this.chunks[at]!;
      const position = chunk.positionAfter(block);
      if (position < chunk.logical.length) return chunk.logical[position]!;
    }
    at++;
    return at < this.chunks.length ? this.chunks[at]!.logical[0]! : Number.POSITIVE_INFINITY;
  }

  /** Visits the pieces of `[start, end)` in order, holes included (blob 0). */
  forEachPiece(
    start: number,
    end: number,
    visit: (logical: BlockIndex, count: number, blob: BlobId, physical: BlockIndex) => void,
  ): void {
    let block = start;
    while (block < end) {
      this.locate(block);
      const count = Math.min(this.foundCount, end - block);
      visit(block as BlockIndex, count, this.foundBlob, this.foundPhysical);
      block += count;
    }
  }

  /** All runs in order. The map must not change while they are read. */
  *[Symbol.iterator](): Generator<Run> {
    for (const chunk of this.chunks) yield* runsOf(chunk);
  }

  /** The runs of chunk `index`, as its row stores them. Empty when no run starts in the chunk: then it has no row. */
  chunkRuns(index: number): Run[] {
    const chunk = this.chunks[this.chunkAtOrBefore(index)];
    return chunk !== undefined && chunk.index === index ? [...runsOf(chunk)] : [];
  }

  /** Adds a run, read from the table, after all others. Marks nothing as changed. */
  private append(logical: number, count: number, blob: number, physical: number): void {
    assert(count > 0, 'a run has blocks');
    const last = this.chunks[this.chunks.length - 1];
    const chunk = this.insert(logical, count, blob, physical);
    assert(last === undefined || last === chunk || last.index < chunk.index, 'runs are appended in order');
    this.blocks += count;
    this.runs++;
  }

  /** Maps `[logical, logical + count)` to `blob` from block `physical` on, in place of what was mapped there. */
  set(
    logical: BlockIndex,
    count: number,
    blob: BlobId,
    physical: BlockIndex,
    removed?: RemovedVisitor,
  ): void {
    assert(count > 0 && blob > 0, 'a run has blocks and a blob');
    this.clear(logical, count, removed);
    let first: number = logical;
    let from: number = physical;
    let total = count;
    this.blocks += count;
    const before = this.runEndingAt(logical);
    if (before !== undefined && before.blob === blob && before.physical + before.count === physical) {
      first = before.logical;
      from = before.physical;
      total += before.count;
      this.removeRunAt(before.logical);
    }
    this.locate(logical + count);
    if (this.foundBlob === blob && this.foundPhysical === physical + count) {
      total += this.foundCount;
      this.removeRunAt(logical + count);
    }
    this.markDirty(this.insert(first, total, blob, from).index);
    this.runs++;
  }

  /** Makes `[logical, logical + count)` a hole. A `count` of Infinity means everything from `logical` on. */
  clear(logical: BlockIndex, count: number, removed?: RemovedVisitor): void {
    const end = logical + count;
    this.splitAt(logical);
    if (Number.isFinite(end)) this.splitAt(end);
    let at = Math.max(0, this.chunkAtOrBefore(Math.floor(logical / CHUNK_BLOCKS)));
    while (at < this.chunks.length) {
      const chunk = this.chunks[at]!;
      if (chunk.index * CHUNK_BLOCKS >= end) return;
      const from = chunk.positionAfter(logical - 1);
      const to = chunk.positionAfter(end - 1);
      for (let position = from; position < to; position++) {
        const count = chunk.count[position]!;
        this.blocks -= count;
        removed?.(chunk.blob[position]! as BlobId, chunk.physical[position]! as BlockIndex, count);
      }
      if (to > from) {
        this.runs -= to - from;
        chunk.delete(from, to - from);
        this.markDirty(chunk.index);
      }
      if (chunk.logical.length === 0) this.chunks.splice(at, 1);
      else at++;
    }
  }

  /** If a run reaches across the start of `block`, splits it there. */
  private splitAt(block: number): void {
    this.locate(block);
    if (this.foundBlob === 0) return;
    const rest = this.foundCount;
    const physical = this.foundPhysical;
    const blob = this.foundBlob;
    const owner = this.ownerOf(block);
    const position = owner.positionAfter(block) - 1;
    if (owner.logical[position] === block) return;
    owner.count[position] = owner.count[position]! - rest;
    this.markDirty(owner.index);
    this.markDirty(this.insert(block, rest, blob, physical).index);
    this.runs++;
  }

  /** The chunk of the run that covers `block`, which must be mapped. */
  private ownerOf(block: number): Chunk {
    const at = this.chunkAtOrBefore(Math.floor(block / CHUNK_BLOCKS));
    const chunk = this.chunks[at]!;
    return chunk.positionAfter(block) > 0 ? chunk : this.chunks[at - 1]!;
  }

  private runEndingAt(block: number): Run | undefined {
    if (block === 0) return undefined;
    this.locate(block - 1);
    if (this.foundBlob === 0) return undefined;
    const chunk = this.ownerOf(block - 1);
    return chunk.runAt(chunk.positionAfter(block - 1) - 1);
  }

  /** Removes the run that starts at `logical`. The caller will insert it again as part of a longer one. */
  private removeRunAt(logical: number): void {
    const chunk = this.ownerOf(logical);
    const position = chunk.positionAfter(logical) - 1;
    assert(chunk.logical[position] === logical, 'a run starts here');
    chunk.delete(position, 1);
    this.markDirty(chunk.index);
    this.runs--;
    if (chunk.logical.length === 0) this.chunks.splice(this.chunkAtOrBefore(chunk.index), 1);
  }
}

function* runsOf(chunk: Chunk): Generator<Run> {
  for (let position = 0; position < chunk.logical.length; position++) yield chunk.runAt(position);
}

/** Appends a run, or lengthens the last one where the new run continues it. */
export function appendRun(runs: Run[], run: Run): void {
  const last = runs[runs.length - 1];
  const isNext =
    last !== undefined &&
    last.blob === run.blob &&
    last.logical + last.count === run.logical &&
    last.physical + last.count === run.physical;
  if (isNext) runs[runs.length - 1] = { ...last, count: last.count + run.count };
  else runs.push(run);
}
