/**
 * An earlier version of a tree that is being imported. Changed files take their unchanged blocks from that version.
 * Call `find` only when the builder exists, since the builder keeps gc from freeing these blocks.
 */
import {
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  DT_DIR,
  DT_REG,
  FsError,
  type Ino,
  isFsError,
  type Name,
  type Run,
} from '../base/index.ts';
import { type BlobSpace, loadSums } from '../blob/index.ts';
import { appendRun } from '../extent/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { StoredTree, StoreEngine, TreeInfo } from '../store/index.ts';

/** Number of blobs whose checksums are kept in memory. */
const SUMS_KEPT = 16;
/** Number of blocks that are compared at once. */
const PIECE_BLOCKS = 64;

/** A file that is being imported, block by block; a partial last block is filled up with zeros. */
export interface BlocksToStore {
  readonly count: number;
  sumAt(block: number): bigint;
  read(block: number, count: number, target: Buffer): void;
}

export class EarlierVersion {
  private readonly tables: MetaTables;
  private readonly blobs: BlobSpace;
  private readonly tree: StoredTree;
  /** Checksums by blob; undefined if the blob is not sealed, or its checksums cannot be read. */
  private readonly sums = new Map<BlobId, BigUint64Array | undefined>();
  private readonly ours = Buffer.allocUnsafe(PIECE_BLOCKS * BLOCK_SIZE);
  private readonly theirs = Buffer.allocUnsafe(PIECE_BLOCKS * BLOCK_SIZE);

  private constructor(engine: StoreEngine, info: TreeInfo) {
    this.tables = engine.tables;
    this.blobs = engine.blobs;
    this.tree = engine.chains.storedTree(info);
  }

  /**
   * The version in the tree `name` (ENOENT). Without `name`, the latest snapshot of the host directory `source`;
   * undefined if there is none.
   */
  static find(engine: StoreEngine, source: string, name?: string): EarlierVersion | undefined {
    if (name !== undefined) return new EarlierVersion(engine, engine.info(name, 'import'));
    const versions = engine.list().filter((tree) => tree.kind === 'snapshot' && tree.source === source);
    const latest = versions.sort((a, b) => a.id - b.id).at(-1);
    return latest && new EarlierVersion(engine, latest);
  }

  get root(): Ino {
    return this.tree.info.root;
  }

  directory(parent: Ino | undefined, name: Name): Ino | undefined {
    const entry = parent === undefined ? undefined : this.tree.entry(parent, name);
    return entry?.kind === DT_DIR ? entry.ino : undefined;
  }

  /** The runs of a regular file; an empty list if there is no such file. */
  runs(parent: Ino | undefined, name: Name): readonly Run[] {
    const entry = parent === undefined ? undefined : this.tree.entry(parent, name);
    if (entry?.kind !== DT_REG) return [];
    const record = this.tree.record(entry.ino);
    return record === undefined ? [] : this.tree.runs(entry.ino, record);
  }

  /**
   * The parts of an earlier file's `runs` that have the same bytes as the same blocks of the new file. Compares the
   * checksums, then the bytes. Yields now and then, so that other work of the thread can run.
   */
  *equalRuns(runs: readonly Run[], blocks: BlocksToStore): Generator<undefined, Run[]> {
    const equal: Run[] = [];
    for (const run of runs) {
      const sums = this.sumsOf(run.blob);
      if (sums === undefined) continue;
      const end = Math.min(run.count, blocks.count - run.logical);
      for (let start = 0; start < end; ) {
        let stop = start;
        while (
          stop < Math.min(end, start + PIECE_BLOCKS) &&
          sums[run.physical + stop] === blocks.sumAt(run.logical + stop)
        )
          stop++;
        if (stop > start) {
          const part = partOf(run, start, stop - start);
          if (this.isEqual(part, blocks)) appendRun(equal, part);
          yield;
        }
        start = Math.max(stop, start + 1);
      }
    }
    return equal;
  }

  private isEqual({ logical, count, blob, physical }: Run, blocks: BlocksToStore): boolean {
    const length = count * BLOCK_SIZE;
    try {
      this.blobs.read(blob, physical * BLOCK_SIZE, this.theirs, 0, length);
    } catch (error) {
      // Damaged blocks are not shared.
      if (isFsError(error, 'EIO')) return false;
      throw error;
    }
    blocks.read(logical, count, this.ours);
    return this.ours.compare(this.theirs, 0, length, 0, length) === 0;
  }

  private sumsOf(blob: BlobId): BigUint64Array | undefined {
    if (this.sums.has(blob)) return this.sums.get(blob);
    const sums = this.tables.blobs.get(blob)?.state === 'sealed' ? this.loadSums(blob) : undefined;
    if (this.sums.size === SUMS_KEPT) this.sums.delete(this.sums.keys().next().value!);
    this.sums.set(blob, sums);
    return sums;
  }

  private loadSums(blob: BlobId): BigUint64Array | undefined {
    try {
      return loadSums(this.blobs.system, this.blobs.directory, blob);
    } catch (error) {
      if (error instanceof FsError) return undefined;
      throw error;
    }
  }
}

/** A part of a run, from its block `start`. */
function partOf({ logical, blob, physical }: Run, start: number, count: number): Run {
  // The casts: a block index plus a number of blocks is a block index.
  return {
    logical: (logical + start) as BlockIndex,
    count,
    blob,
    physical: (physical + start) as BlockIndex,
  };
}
