/**
 * Shares the unchanged blocks of a changed file with its earlier version. Only files whose content is not in the store
 * yet are compared, so the import of an unchanged tree is no slower.
 */
import {
  BLOCK_SIZE,
  type BlockIndex,
  blocksFor,
  checksum64,
  type Run,
  yieldToEventLoop,
} from '../base/index.ts';
import type { LayerBuilder, OwnBlob } from '../store/index.ts';
import type { BlocksToStore, EarlierVersion } from '../survey/index.ts';
import { countBlocks, type FileContent } from './stored-content.ts';

/**
 * A large file stays one whole blob, which the kernel can read by itself, unless at least one block in this many can be
 * shared.
 */
const LARGE_SHARE = 1024;
/**
 * The most shared runs in a large file: more would cost more in memory maps of the file than they save. The shortest
 * are left out first.
 */
const SHARED_RUNS_MAX = 2048;
const SUM_BYTES = 8;
/** Pieces of at most 256 KiB that are compared between two turns of the event loop. */
const PIECES_A_TURN = 16;

export class EarlierSharing {
  private readonly builder: LayerBuilder;
  private readonly earlier: EarlierVersion;
  /**
   * Small contents of this import that lie in several places, by hash. They are kept here because a row of the content
   * table names only one place.
   */
  private readonly mixed = new Map<string, FileContent>();

  constructor(builder: LayerBuilder, earlier: EarlierVersion) {
    this.builder = builder;
    this.earlier = earlier;
  }

  /**
   * Stores the new blocks of a small file, and shares the others. If all blocks are new, stores nothing and returns
   * undefined.
   */
  small(
    earlierRuns: readonly Run[],
    hash: Buffer,
    bytes: Buffer,
    sizeBytes: number,
  ): FileContent | undefined {
    const key = hash.toString('latin1');
    const known = this.mixed.get(key);
    if (known !== undefined) return { ...known, storedBytes: 0, sharedBytes: sizeBytes };
    if (earlierRuns.length === 0) return undefined;
    const equal = atOnce(this.earlier.equalRuns(earlierRuns, new SmallBlocks(bytes, sizeBytes)));
    if (equal.length === 0) return undefined;
    const runs: Run[] = [];
    for (const { start, end } of gapsBetween(equal, blocksFor(sizeBytes), runs)) {
      const part = bytes.subarray(start * BLOCK_SIZE, Math.min(end * BLOCK_SIZE, sizeBytes));
      // The cast: a block of the file.
      runs.push({
        logical: start as BlockIndex,
        count: end - start,
        ...this.builder.storePacked(part, part.length),
      });
    }
    const content = contentOf(runs, equal, sizeBytes);
    this.mixed.set(key, content);
    return content;
  }

  /**
   * Shares blocks of a large file with the earlier version, and frees these blocks in the file's own blob. If that is
   * not worthwhile, frees nothing and returns undefined.
   */
  async large(
    earlierRuns: readonly Run[],
    own: OwnBlob,
    sizeBytes: number,
    ownRuns: readonly Run[],
  ): Promise<FileContent | undefined> {
    const found = await inTurns(this.earlier.equalRuns(earlierRuns, new OwnBlocks(own, sizeBytes)));
    let equal = found.flatMap((run) => within(run, ownRuns));
    for (let shortest = 2; equal.length > SHARED_RUNS_MAX; shortest *= 2)
      equal = equal.filter(({ count }) => count >= shortest);
    const shared = countBlocks(equal);
    const total = countBlocks(ownRuns);
    if (shared === 0 || shared * LARGE_SHARE < total) return undefined;
    const runs: Run[] = [];
    for (const { start, end } of gapsBetween(equal, blocksFor(sizeBytes), runs)) {
      const gap = { logical: start as BlockIndex, count: end - start }; // A block of the file.
      runs.push(...within({ ...gap, blob: own.id, physical: gap.logical }, ownRuns));
    }
    for (const { logical, count } of equal) own.punch(logical, count);
    return contentOf(runs, equal, sizeBytes);
  }
}

function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

async function inTurns<T>(work: Generator<undefined, T>): Promise<T> {
  for (let pieces = 1; ; pieces++) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (pieces % PIECES_A_TURN === 0) await yieldToEventLoop();
  }
}

/** Bytes of the file in these runs; the last block may be partly beyond its end. */
function bytesOf(runs: readonly Run[], sizeBytes: number): number {
  const endOf = ({ logical, count }: Run): number => Math.min(sizeBytes, (logical + count) * BLOCK_SIZE);
  return runs.reduce((sum, run) => sum + endOf(run) - run.logical * BLOCK_SIZE, 0);
}

function contentOf(runs: readonly Run[], equal: readonly Run[], sizeBytes: number): FileContent {
  const sharedBytes = bytesOf(equal, sizeBytes);
  const storedBytes = bytesOf(runs, sizeBytes) - sharedBytes;
  return { sizeBytes, runs, storedBytes, sharedBytes, clonedBytes: 0 };
}

/** The parts of `run` that lie in data of the file (`ownRuns`), so that the file's holes stay holes. */
function within(run: Run, ownRuns: readonly Run[]): Run[] {
  const parts: Run[] = [];
  for (const { logical, count } of ownRuns) {
    const start = Math.max(logical, run.logical);
    const end = Math.min(logical + count, run.logical + run.count);
    if (start >= end) continue;
    // The casts: `start` is a block of this run.
    const physical = (run.physical + start - run.logical) as BlockIndex;
    parts.push({ logical: start as BlockIndex, count: end - start, blob: run.blob, physical });
  }
  return parts;
}

/**
 * Copies the runs to `into`, and yields each gap when it is reached, so that the caller can add runs for it in order.
 */
function* gapsBetween(
  runs: readonly Run[],
  count: number,
  into: Run[],
): Generator<{ readonly start: number; readonly end: number }> {
  let at = 0;
  for (const run of runs) {
    if (run.logical > at) yield { start: at, end: run.logical };
    into.push(run);
    at = run.logical + run.count;
  }
  if (at < count) yield { start: at, end: count };
}

/** The blocks of a file that is in memory. */
class SmallBlocks implements BlocksToStore {
  readonly count: number;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer, sizeBytes: number) {
    this.count = blocksFor(sizeBytes);
    const within = sizeBytes % BLOCK_SIZE;
    // Copies the bytes if the last block must be padded, because the buffer is the caller's and may end inside that
    // block.
    this.bytes = within === 0 ? bytes : Buffer.alloc(this.count * BLOCK_SIZE);
    if (within > 0) bytes.copy(this.bytes, 0, 0, sizeBytes);
  }

  sumAt(block: number): bigint {
    return checksum64(this.bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE));
  }

  read(block: number, count: number, target: Buffer): void {
    this.bytes.copy(target, 0, block * BLOCK_SIZE, (block + count) * BLOCK_SIZE);
  }
}

/** The blocks of a large file, which are in its own blob already. */
class OwnBlocks implements BlocksToStore {
  readonly count: number;
  private readonly own: OwnBlob;
  private readonly sums: Buffer;

  constructor(own: OwnBlob, sizeBytes: number) {
    this.own = own;
    this.count = blocksFor(sizeBytes);
    this.sums = own.sums();
  }

  sumAt(block: number): bigint {
    return this.sums.readBigUInt64LE(block * SUM_BYTES);
  }

  read(block: number, count: number, target: Buffer): void {
    this.own.read(target, count * BLOCK_SIZE, block * BLOCK_SIZE);
  }
}
