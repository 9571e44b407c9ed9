/**
 * Dedupe: makes blocks with equal bytes one block, on disk and in memory, in all trees of a store or in some.
 *
 *   freeze    freezes forks as for a snapshot, so that their data lies in blobs that no longer change; computes missing
 *             checksums
 *   match     finds blocks that look equal, by the checksums of sealed blobs (`BlockMatching`)
 *   compare   compares these byte by byte; blocks that differ, or cannot be read, are left alone
 *   rewrite   makes files of frozen layers refer to the block that stays, a few files in each transaction
 *   follow    lets open trees read these files' extents again, and maps live views again
 *
 * Content never changes. Dedupe frees no space; gc does that later, by its own rules. If the process dies at any
 * moment, or the disk is full, every file is in its old or its new state. The next run continues with the rest, because
 * blocks that were merged are no longer separate.
 *
 * Races. While dedupe runs, it holds a lock that keeps gc from dropping anything, as an import does. So no block that a
 * file gets can go away. Dedupe ignores blocks that gc dropped before. Dedupe changes only frozen layers, whose rows
 * nobody else writes. A process that has read the old rows goes on with the old blocks, and its lease keeps these until
 * the process has followed (`OpenTrees`). Extents in blobs that the tables do not list are left alone.
 */
import {
  BLOCK_SIZE,
  chunkOf,
  FsError,
  type Ino,
  isFsError,
  type LayerId,
  runsByChunk,
  whileBusyBlocking,
  yieldToEventLoop,
} from '../base/index.ts';
import { loadSums } from '../blob/index.ts';
import { LayerLock, type StoreEngine } from '../store/index.ts';
import { BlockComparison, piecesOf } from './block-comparison.ts';
import { BlockMatching, type BlockPlace, type BlockSource } from './block-matching.ts';
import { BlockMoves } from './block-moves.ts';
import { hasJournal, sealLeftovers, storeDeadJournals } from './leftovers.ts';
import { Marking, type Marks } from './marking.ts';

export interface DedupeOptions {
  /** The trees to look at, by name. Default: all. */
  readonly trees?: readonly string[];
  /** Memory for the index of blocks, in bytes. A store with more blocks than fit takes several passes. */
  readonly memoryBytes?: number;
  /** Milliseconds after which the run ends; the next run continues. */
  readonly timeMs?: number;
  /** Called several times a second. */
  readonly progress?: (state: DedupeProgress) => void;
  /** Ends the run, as `timeMs` does. */
  readonly signal?: AbortSignal;
  /** Forks that other processes have just frozen, so that dedupe need not freeze them. */
  readonly frozenElsewhere?: ReadonlySet<string>;
}

export interface DedupeProgress {
  /** Blocks looked at in all passes so far. */
  readonly blocksLookedAt: number;
  /** The blocks to look at in one pass. */
  readonly blocksTotal: number;
  readonly bytesShared: number;
}

export interface DedupeReport {
  /** Bytes in the blocks that files refer to, in blobs that have checksums. */
  readonly bytesLookedAt: number;
  /** Bytes in blocks that were found equal to others. */
  readonly bytesShared: number;
  /** Bytes in blocks that no file refers to any more; gc frees them. */
  readonly bytesUnused: number;
  /** Files with changed extents. */
  readonly filesChanged: number;
  readonly passes: number;
  /** Blocks that differ although their checksums are equal. */
  readonly blocksDiffering: number;
  /** Messages about blocks that could not be read. */
  readonly damaged: readonly string[];
  /** Forks that another process has open. Dedupe left alone the data that they got since they were last frozen. */
  readonly forksSkipped: readonly string[];
  /** False if `timeMs` or `signal` ended the run early. */
  readonly isComplete: boolean;
  readonly durationMs: number;
}

type Counts = { -readonly [Field in keyof DedupeReport]: DedupeReport[Field] };

const MEMORY_BYTES = 256 * 1024 * 1024;
/**
 * Files are rewritten as soon as this many moves, or moves of this many bytes, are waiting. A kill loses at most that
 * much work.
 */
const MOVES_AT_ONCE = 131_072;
const BYTES_AT_ONCE = 1024 ** 3;
const PROGRESS_MS = 100;

/**
 * Runs dedupe over a store. ENOENT: no such tree; EBUSY: another dedupe is under way; ENOSPC, EIO: the tables could not
 * be written, and the files changed so far stay changed; ERR_STORE_CORRUPT.
 */
export async function dedupeStore(engine: StoreEngine, options: DedupeOptions = {}): Promise<DedupeReport> {
  engine.requireOpen('dedupe');
  const wanted = options.trees === undefined ? undefined : new Set(options.trees);
  engine.tables.renew();
  for (const name of wanted ?? []) {
    if (engine.tables.trees.get(name) !== undefined) continue;
    const note = 'no fork or snapshot of this name: see `ramet ls`';
    throw new FsError('ENOENT', { syscall: 'dedupe', path: name, note });
  }
  const lock = takeLock(engine);
  try {
    // The counter goes up after the lock is taken and before the marks are made, so that a running gc notices and drops
    // nothing.
    engine.tables.transaction(() => void engine.tables.allocate('builders'));
    const run = new Dedupe(engine, options, wanted);
    for (const _piece of run.work()) await yieldToEventLoop();
    return run.finish();
  } finally {
    // The lock file stays: another process may have it open.
    lock.abandon();
  }
}

/** Retries for a while, because gc takes this lock for a moment to see whether anybody holds it. */
function takeLock({ system, layout, directory }: StoreEngine): LayerLock {
  try {
    return whileBusyBlocking(() => LayerLock.take(system, layout.dedupeLockPath));
  } catch (error) {
    if (!isFsError(error, 'EBUSY')) throw error;
    const note = 'another dedupe is under way: wait for its end';
    throw new FsError('EBUSY', { syscall: 'dedupe', path: directory, note });
  }
}

class Dedupe {
  private readonly engine: StoreEngine;
  private readonly options: DedupeOptions;
  private readonly isWanted: (tree: string) => boolean;
  private readonly comparison: BlockComparison;
  private readonly moves = new BlockMoves();
  private readonly started: number;
  private layers: readonly LayerId[] = [];
  private blocksBefore = 0;
  private blocksTotal = 0;
  private blocksLookedAt = 0;
  private bytesWaiting = 0;
  private progressDue = 0;
  private readonly report: Counts = {
    bytesLookedAt: 0,
    bytesShared: 0,
    bytesUnused: 0,
    filesChanged: 0,
    passes: 0,
    blocksDiffering: 0,
    damaged: [],
    forksSkipped: [],
    isComplete: true,
    durationMs: 0,
  };

  constructor(engine: StoreEngine, options: DedupeOptions, wanted: ReadonlySet<string> | undefined) {
    this.engine = engine;
    this.options = options;
    this.isWanted = wanted === undefined ? () => true : (tree) => wanted.has(tree);
    this.comparison = new BlockComparison(engine.blobs);
    this.started = engine.system.clock.elapsedMs();
  }

  private get elapsedMs(): number {
    return this.engine.system.clock.elapsedMs() - this.started;
  }

  private get isOver(): boolean {
    return (
      this.options.signal?.aborted === true ||
      this.elapsedMs >= (this.options.timeMs ?? Number.POSITIVE_INFINITY)
    );
  }

  /** Makes all steps. Yields so that other work of the thread can run. */
  *work(): Generator<void> {
    const { engine, report } = this;
    report.forksSkipped = this.freezeForks();
    yield;
    sealLeftovers(engine);
    yield;
    const marking = new Marking(engine.tables, engine.directory);
    const all = marking.mark();
    this.blocksBefore = countBlocks(all);
    const marks = this.options.trees === undefined ? all : marking.mark(this.isWanted);
    this.layers = [...marks.layers].filter(([, { state }]) => state === 'frozen').map(([layer]) => layer);
    const sources = this.sourcesOf(marks);
    this.blocksTotal = sources.reduce((sum, { live }) => sum + live.total, 0);
    const { memoryBytes = MEMORY_BYTES } = this.options;
    const matching = new BlockMatching(sources, (source) => this.sumsOf(source), memoryBytes);
    let pass: BlockPlace | undefined = { source: 0, block: 0 };
    while (pass !== undefined && report.isComplete) {
      matching.beginPass();
      report.passes++;
      yield* this.onePass(sources, matching, pass);
      pass = matching.nextPass;
    }
    yield* this.rewrite();
  }

  finish(): DedupeReport {
    const { engine, report, comparison } = this;
    const left = countBlocks(new Marking(engine.tables, engine.directory).mark());
    report.bytesUnused = Math.max(0, this.blocksBefore - left) * BLOCK_SIZE;
    report.blocksDiffering = comparison.blocksDiffering;
    report.damaged = [...report.damaged, ...comparison.damaged];
    report.durationMs = this.elapsedMs;
    return report;
  }

  // Freezing and marking.

  /** Freezes forks, so that their data is in frozen layers. Returns those that other processes have open. */
  private freezeForks(): string[] {
    const { engine, options } = this;
    const skipped = storeDeadJournals(engine);
    for (const { name, kind, layer } of engine.list()) {
      if (kind !== 'fork' || !this.isWanted(name) || options.frozenElsewhere?.has(name) === true) continue;
      const open = engine.openTreeOf(name);
      if (open !== undefined) engine.freeze(open);
      else if (hasOwn(engine, layer) && !this.freezeClosed(name)) skipped.push(name);
    }
    return skipped;
  }

  private freezeClosed(name: string): boolean {
    try {
      const tree = this.engine.openTree(name);
      try {
        this.engine.freeze(tree);
      } finally {
        tree.close();
      }
      return true;
    } catch (error) {
      // EBUSY: another process has the fork open. ENOENT: another process has just dropped it.
      if (isFsError(error, 'EBUSY')) return false;
      if (isFsError(error, 'ENOENT')) return true;
      throw error;
    }
  }

  /**
   * Sealed blobs with their live blocks. The first of equal blocks stays, so blobs of a single file come first, and
   * older blobs before newer ones.
   */
  private sourcesOf({ blocks }: Marks): BlockSource[] {
    const { tables } = this.engine;
    const sources: BlockSource[] = [];
    for (const [blob, record] of tables.blobs.entries()) {
      const live = blocks.get(blob);
      if (live === undefined || record.state !== 'sealed') continue;
      const dropped = tables.dropped.get(blob);
      if (dropped?.ranges.length === 0) continue;
      for (const { start, end } of dropped?.ranges ?? []) live.remove(start, end);
      sources.push({ blob, isOwn: record.kind === 'own', live });
    }
    return sources.sort((a, b) => Number(b.isOwn) - Number(a.isOwn) || a.blob - b.blob);
  }

  private sumsOf({ blob }: BlockSource): Uint32Array | undefined {
    const { engine, report } = this;
    try {
      const sums = loadSums(engine.system, engine.blobs.directory, blob);
      return sums && new Uint32Array(sums.buffer, sums.byteOffset, sums.length * 2);
    } catch (error) {
      if (!isFsError(error, 'EIO')) throw error;
      report.damaged = [...new Set([...report.damaged, error.message])];
      return undefined;
    }
  }

  // Matching and comparing.

  private *onePass(
    sources: readonly BlockSource[],
    matching: BlockMatching,
    { source: first, block }: BlockPlace,
  ): Generator<void> {
    for (let source = first; source < sources.length; source++) {
      if (this.isOver) {
        this.report.isComplete = false;
        return;
      }
      yield* this.oneSource(sources, matching, source, source === first ? block : 0);
      this.noteLookedAt(sources[source]!.live.total);
      if (this.moves.count >= MOVES_AT_ONCE || this.bytesWaiting >= BYTES_AT_ONCE) yield* this.rewrite();
      yield;
    }
  }

  private *oneSource(
    sources: readonly BlockSource[],
    matching: BlockMatching,
    source: number,
    from: number,
  ): Generator<void> {
    const { blob } = sources[source]!;
    for (const match of matching.match(source, from)) {
      const target = sources[match.target]!.blob;
      for (const piece of piecesOf(match)) {
        if (this.isOver) {
          this.report.isComplete = false;
          return;
        }
        for (const equal of this.comparison.equalParts(blob, target, piece)) {
          this.moves.add(blob, equal.start, equal.count, target, equal.targetStart);
          matching.noteMoved(source, equal.start, equal.count);
          this.report.bytesShared += equal.count * BLOCK_SIZE;
          this.bytesWaiting += equal.count * BLOCK_SIZE;
        }
        if (this.comparison.isPauseDue) yield;
      }
    }
  }

  private noteLookedAt(blocks: number): void {
    const { report, blocksTotal, options } = this;
    this.blocksLookedAt += blocks;
    // Counts the first pass only, because later passes look at some of its blocks again.
    if (report.passes === 1) report.bytesLookedAt += blocks * BLOCK_SIZE;
    if (options.progress === undefined || this.elapsedMs < this.progressDue) return;
    this.progressDue = this.elapsedMs + PROGRESS_MS;
    const { blocksLookedAt } = this;
    options.progress({ blocksLookedAt, blocksTotal, bytesShared: report.bytesShared });
  }

  // Rewriting.

  /** Applies the moves to all files of the frozen layers, and lets open trees follow. */
  private *rewrite(): Generator<void> {
    const { engine, moves } = this;
    if (moves.count === 0) return;
    for (const layer of this.layers) {
      yield* this.rewriteLayer(layer);
      yield;
    }
    moves.clear();
    this.bytesWaiting = 0;
    engine.openTrees.followExtents();
  }

  private *rewriteLayer(layer: LayerId): Generator<void> {
    const { tables } = this.engine;
    const inos: Ino[] = [];
    for (const { ino, runs } of tables.extents.forLayer(layer)) if (this.moves.touches(runs)) inos.push(ino);
    let next = 0;
    while (next < inos.length) {
      tables.slice((isSpent) => {
        tables.allocate('remaps');
        do this.rewriteFile(layer, inos[next++]!);
        while (next < inos.length && !isSpent());
      });
      yield;
    }
  }

  /** Changes all rows of a file in one transaction, because a run may reach from one row into the next. */
  private rewriteFile(layer: LayerId, ino: Ino): void {
    const { extents } = this.engine.tables;
    const runs = extents.load(layer, ino) ?? [];
    const rewritten = this.moves.rewrite(runs);
    if (rewritten === undefined) return;
    const stale = new Set(runs.map(({ logical }) => chunkOf(logical)));
    for (const { chunk, runs: own } of runsByChunk(rewritten)) {
      extents.putChunk(layer, ino, chunk, own);
      stale.delete(chunk);
    }
    for (const chunk of stale) extents.removeChunk(layer, ino, chunk);
    this.report.filesChanged++;
  }
}

function countBlocks({ blocks }: Marks): number {
  let count = 0;
  for (const { total } of blocks.values()) count += total;
  return count;
}

/** True if a fork that is not open here has inodes or a journal in its own layer. */
function hasOwn(engine: StoreEngine, layer: LayerId): boolean {
  for (const _ino of engine.tables.inodes.inos(layer)) return true;
  return hasJournal(engine, layer);
}
