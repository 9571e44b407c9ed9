/** One open tree: a fork, which this process owns while it is open, or a snapshot. */

import { type BlobId, type Ino, isFsError } from '../base/index.ts';
import { checkpoint, type LayerStack, type StackKeeper } from '../layer/index.ts';
import type { TreeRecord } from '../meta/index.ts';
import { FileSystem, trustedCaller } from '../vfs/index.ts';
import type { Reserve } from './reserve.ts';

/** A fork or snapshot by name. */
export interface TreeInfo extends TreeRecord {
  readonly name: string;
}

/** Records between two tries of a checkpoint that fails. */
const RETRY_RECORDS = 5_000;
/** st_dev of tree 0: a number that no host device has. Every tree adds its own number. */
const DEV_BASE = 82 * 2 ** 32;

/** What the kernel of a mount has of a tree. */
export type MountUse = Pick<StackKeeper, 'isKept' | 'passedThrough'>;

export class Tree implements StackKeeper {
  info: TreeInfo;
  readonly fileSystem: FileSystem;
  readonly stack: LayerStack;
  /** Set while the tree is mounted. */
  mount: MountUse | undefined;
  private readonly reserve: Reserve;
  private readonly onClosed: (tree: Tree) => void;
  private isOpen = true;
  /** After a failed checkpoint the next is tried when the journal has so many records. */
  private retryAtRecords = 0;

  constructor(
    info: TreeInfo,
    openStack: (keeper: StackKeeper) => LayerStack,
    reserve: Reserve,
    onClosed: (tree: Tree) => void,
  ) {
    this.reserve = reserve;
    this.onClosed = onClosed;
    this.info = info;
    this.stack = openStack(this);
    const caller = trustedCaller(process.getuid?.() ?? 0, process.getgid?.() ?? 0, process.umask());
    this.fileSystem = new FileSystem(this.stack, DEV_BASE + info.id, caller);
  }

  get isClosed(): boolean {
    return !this.isOpen;
  }

  get isReadOnly(): boolean {
    return this.stack.upper === undefined;
  }

  /** Moves what the journal holds into the tables. Durable when it returns. */
  checkpoint(): void {
    this.reserve.during(() => checkpoint(this.stack));
  }

  /**
   * The operation that made a checkpoint due has been acknowledged, so a failure here (a full disk) is not its
   * failure: the journal keeps everything, and the checkpoint is tried again some records later.
   */
  onCheckpointDue(): void {
    const records = this.stack.upper?.journal.recordCount ?? 0;
    if (records < this.retryAtRecords) return;
    try {
      this.checkpoint();
      this.retryAtRecords = 0;
    } catch (error) {
      if (!isFsError(error)) throw error;
      this.retryAtRecords = records + RETRY_RECORDS;
    }
  }

  isKept(ino: Ino): boolean {
    return this.mount?.isKept(ino) === true;
  }

  passedThrough(): Iterable<readonly [Ino, BlobId]> {
    return this.mount?.passedThrough() ?? [];
  }

  /** What has been acknowledged becomes durable. */
  commitMark(): void {
    if (this.isOpen && this.stack.upper?.isUnmarked) this.stack.upper.commitMark();
  }

  /**
   * As `commitMark`, every few seconds. Where there is much data, the thread pool writes it to the disk first: nobody
   * asked for this, so nobody should wait for it.
   */
  async markInBackground(): Promise<void> {
    const flushed = this.stack.upper?.flush();
    if (flushed !== undefined) await flushed;
    try {
      this.commitMark();
    } catch (error) {
      // A disk that fails fails the next fsync as well, which reports it.
      if (!isFsError(error)) throw error;
    }
  }

  /** Closes a tree whose writable layer was dropped: what that holds is not stored. */
  giveUp(): void {
    if (!this.isOpen) return;
    for (const inode of this.stack.inodes.values()) inode.mapping?.closeMaps();
    this.isOpen = false;
    this.stack.leaveCache();
    this.onClosed(this);
  }

  /**
   * Stores everything, gives the layer up, and closes every memory map. May be called twice. Where storing fails, the
   * tree is closed all the same: what was acknowledged is in the journal, which the next opener replays.
   */
  close(): void {
    if (!this.isOpen) return;
    const { stack } = this;
    for (const inode of stack.inodes.values()) inode.mapping?.closeMaps();
    if (stack.upper !== undefined) {
      stack.dropUnrecordedTimes();
      for (const inode of stack.lazyTimes) if (!inode.isDead) stack.markDirty(inode);
      stack.lazyTimes.clear();
      for (const inode of [...stack.inodes.values()]) {
        if (inode.record.nlink > 0) continue;
        inode.openCount = 0;
        stack.releaseIfUnused(inode);
      }
    }
    try {
      this.checkpoint();
      stack.upper?.close();
    } catch (error) {
      stack.upper?.abandon();
      throw error;
    } finally {
      this.isOpen = false;
      stack.leaveCache();
      this.onClosed(this);
    }
  }
}
