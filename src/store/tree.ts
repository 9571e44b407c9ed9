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

/** Number of journal records between two attempts at a checkpoint that fails. */
const RETRY_RECORDS = 5_000;
/** st_dev of a tree is this plus the tree's id. No host device has such a number. */
const DEV_BASE = 82 * 2 ** 32;

/** The inodes and blobs of a mounted tree that the kernel uses. */
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
  /** After a failed checkpoint, the journal must have this many records before the next attempt. */
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

  /** Stores the journal in the tables, durably. */
  checkpoint(): void {
    this.reserve.during(() => checkpoint(this.stack));
  }

  /**
   * Makes a checkpoint. A failure (a full disk) does not fail the operation that made the checkpoint due, because that
   * operation is already acknowledged: the journal keeps everything, and the tree tries again RETRY_RECORDS later.
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

  /** Makes everything acknowledged durable. */
  commitMark(): void {
    if (this.isOpen && this.stack.upper?.isUnmarked) this.stack.upper.commitMark();
  }

  /**
   * Like `commitMark`, but called every few seconds. First the thread pool writes large data to the disk, because
   * nobody asked for this mark, and nobody should wait for it.
   */
  async markInBackground(): Promise<void> {
    const flushed = this.stack.upper?.flush();
    if (flushed !== undefined) await flushed;
    try {
      this.commitMark();
    } catch (error) {
      // The next fsync fails too, and reports the error.
      if (!isFsError(error)) throw error;
    }
  }

  /** Closes a tree whose writable layer was dropped, and stores nothing. */
  giveUp(): void {
    if (!this.isOpen) return;
    for (const inode of this.stack.inodes.values()) inode.mapping?.closeMaps();
    this.end();
  }

  private end(): void {
    this.isOpen = false;
    this.stack.leaveCache();
    this.onClosed(this);
  }

  /**
   * Stores everything, gives up the layer, and closes every memory map. May be called twice. If storing fails, this
   * throws, but the tree is closed all the same: the journal has what was acknowledged, and the next opener replays it.
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
      this.end();
    }
  }
}
