/**
 * What a stack is made of, and what this process has in memory of its tree. The invariants are listed at
 * `LayerStack`.
 */
import { type BlobId, type Clock, FsError, type Ino } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { isDerived, type Lower, LowerChain } from '../lower/index.ts';
import type { MapBudget } from '../mapping/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import { ExternalRecords } from './external-records.ts';
import type { Inode } from './inode.ts';
import { Origins } from './origins.ts';
import type { TreeCache } from './tree-cache.ts';
import type { UpperLayer } from './upper-layer.ts';

/** What all stacks of a store share. */
export interface StackParts {
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly system: System;
  readonly clock: Clock;
  readonly budget: MapBudget;
  readonly cache: TreeCache;
}

/** What a stack asks of the tree that it belongs to, and what it reports to it. */
export interface StackKeeper {
  /** The journal has grown to the size at which a checkpoint is due. */
  onCheckpointDue(): void;
  /** Whether the kernel of a mount can reach an inode by its number, even when the inode has no name. */
  isKept(ino: Ino): boolean;
  /** The files that the kernel of a mount reads directly, each with the blob that is its whole content. */
  passedThrough(): Iterable<readonly [Ino, BlobId]>;
}

export class StackState {
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly system: System;
  readonly clock: Clock;
  readonly budget: MapBudget;
  readonly cache: TreeCache;
  readonly keeper: StackKeeper;
  readonly rootIno: Ino;
  upper: UpperLayer | undefined;
  /** The lowers, and lookups across all of them. */
  chain: LowerChain;
  readonly inodes = new Map<Ino, Inode>();
  /** Inodes to be stored by the next checkpoint. */
  readonly dirty = new Set<Inode>();
  /** Inodes of which only the atime changed; stored when the tree is closed, or when inodes are to be evicted. */
  readonly lazyTimes = new Set<Inode>();
  isReplaying = false;
  /** Names in `children` of all inodes; may include some that are gone, until names are evicted. */
  nameCount = 0;
  /** Origins of derived inodes and rows of host files: journalled with the first record that needs them. */
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
    this.clock = parts.clock;
    this.budget = parts.budget;
    this.cache = parts.cache;
    this.keeper = keeper;
    this.rootIno = rootIno;
    this.upper = upper;
    this.chain = new LowerChain(lowers);
    this.externals = new ExternalRecords(parts.tables, parts.blobs);
  }

  /** Uppermost first. */
  get lowers(): readonly Lower[] {
    return this.chain.lowers;
  }

  set lowers(lowers: readonly Lower[]) {
    this.chain = new LowerChain(lowers);
  }

  /** The upper layer. EROFS when the tree is a snapshot; EBADF when it was closed and may have another owner. */
  writable(): UpperLayer {
    if (this.upper === undefined) throw new FsError('EROFS');
    if (!this.upper.isOpen) throw new FsError('EBADF', { note: 'the fork was closed: open it again' });
    return this.upper;
  }

  /** Whether the upper layer gave the number out: no lower has it. */
  isOwnNumber(ino: Ino): boolean {
    return this.upper !== undefined && ino >= this.upper.firstIno && !isDerived(ino);
  }

  markDirty(inode: Inode): void {
    if (inode.isDirty) return;
    inode.isDirty = true;
    this.dirty.add(inode);
  }
}
