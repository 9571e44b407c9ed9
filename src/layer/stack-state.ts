/**
 * The state of a stack: its parts, and what this process has in memory of its tree. To make room in memory it drops
 * what it can read again, the oldest first. `LayerStack` states the invariants.
 */
import { type BlobId, FsError, type Ino } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { isDerived, type Lower, LowerChain } from '../lower/index.ts';
import type { MapBudget } from '../mapping/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import { ExternalRecords } from './external-records.ts';
import type { Inode } from './inode.ts';
import { Origins } from './origins.ts';
import type { CachedTree, TreeCache } from './tree-cache.ts';
import type { UpperLayer } from './upper-layer.ts';

/** The parts that all stacks of a store share. */
export interface StackParts {
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly system: System;
  readonly budget: MapBudget;
  readonly cache: TreeCache;
}

/** The part of an open tree that its stack calls: the stack reports to it, and asks it about the kernel of a mount. */
export interface StackKeeper {
  onCheckpointDue(): void;
  /** True if the kernel of a mount can reach the inode by its number, even if the inode has no name. */
  isKept(ino: Ino): boolean;
  /** The files that the kernel of a mount reads directly, each with the blob that is its whole content. */
  passedThrough(): Iterable<readonly [Ino, BlobId]>;
}

export class StackState implements CachedTree {
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly system: System;
  readonly budget: MapBudget;
  readonly cache: TreeCache;
  readonly keeper: StackKeeper;
  readonly rootIno: Ino;
  upper: UpperLayer | undefined;
  /** The lower layers, and lookups across them. */
  chain: LowerChain;
  readonly inodes = new Map<Ino, Inode>();
  /** Inodes to be stored by the next checkpoint. */
  readonly dirty = new Set<Inode>();
  /** Inodes of which only the atime changed; stored when the tree is closed or inodes are evicted. */
  readonly lazyTimes = new Set<Inode>();
  isReplaying = false;
  /**
   * Number of names in `children` of all inodes. May count names that are gone, until `dropNames` corrects the number.
   */
  nameCount = 0;
  /**
   * Origins of derived inodes, and rows of host files (`externals`). Both are journalled with the first record that
   * needs them.
   */
  readonly origins = new Origins();
  readonly externals: ExternalRecords;

  constructor(
    parts: StackParts,
    keeper: StackKeeper,
    rootIno: Ino,
    upper: UpperLayer | undefined,
    lowers: readonly Lower[],
  ) {
    this.tables = parts.tables;
    this.blobs = parts.blobs;
    this.system = parts.system;
    this.budget = parts.budget;
    this.cache = parts.cache;
    this.keeper = keeper;
    this.rootIno = rootIno;
    this.upper = upper;
    this.chain = new LowerChain(lowers);
    this.externals = new ExternalRecords(parts.tables, parts.blobs);
  }

  /** The lower layers, uppermost first. */
  get lowers(): readonly Lower[] {
    return this.chain.lowers;
  }

  set lowers(lowers: readonly Lower[]) {
    this.chain = new LowerChain(lowers);
  }

  /** The upper layer. EROFS for a snapshot; EBADF when the tree was closed, since the layer may have another owner. */
  writable(): UpperLayer {
    if (this.upper === undefined) throw new FsError('EROFS');
    if (!this.upper.isOpen) throw new FsError('EBADF', { note: 'the fork was closed: open it again' });
    return this.upper;
  }

  /** Whether the upper layer gave out the number, so that no lower layer has it. */
  isOwnNumber(ino: Ino): boolean {
    return this.upper !== undefined && ino >= this.upper.firstIno && !isDerived(ino);
  }

  markDirty(inode: Inode): void {
    if (inode.isDirty) return;
    inode.isDirty = true;
    this.dirty.add(inode);
  }

  get inodeCount(): number {
    return this.inodes.size;
  }

  dropInodes(count: number): void {
    this.storeLazyTimes(count);
    let left = count;
    for (const [ino, inode] of this.inodes) {
      if (left <= 0) break;
      if (ino === this.rootIno || !inode.isEvictable || this.lazyTimes.has(inode)) continue;
      this.nameCount -= inode.children?.size ?? 0;
      this.inodes.delete(ino);
      left--;
    }
  }

  /**
   * Drops names until `count` of them are gone, but keeps those of changed directories, which wait for the checkpoint.
   * Corrects `nameCount`.
   */
  dropNames(count: number): void {
    let kept = 0;
    let dropped = 0;
    for (const inode of this.inodes.values()) {
      const size = inode.children?.size ?? 0;
      if (dropped < count && size > 0 && inode.changedNames === undefined) {
        inode.children = undefined;
        inode.isComplete = false;
        inode.namesBetween = undefined;
        dropped += size;
      } else kept += size;
    }
    this.nameCount = kept;
  }

  /** Has a checkpoint store the oldest inodes' access times: otherwise a tree that is only read could drop no inode. */
  private storeLazyTimes(count: number): void {
    this.dropUnrecordedTimes();
    let left = count;
    let isDue = false;
    for (const inode of this.lazyTimes) {
      if (left-- <= 0) break;
      this.lazyTimes.delete(inode);
      if (inode.isDead) continue;
      this.markDirty(inode);
      isDue = true;
    }
    if (isDue) this.keeper.onCheckpointDue();
  }

  /**
   * Drops the access times of inodes that only a live layer has. Reading records nothing about such inodes, so these
   * times are never stored.
   */
  dropUnrecordedTimes(): void {
    for (const inode of this.lazyTimes) {
      if (inode.isUnrecorded && this.chain.isLive(inode.ino)) this.lazyTimes.delete(inode);
    }
  }
}
