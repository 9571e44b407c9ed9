/**
 * The active blob of a writable layer: the one blob that has the layer's private blocks, until the layer is frozen.
 *
 * Every block below `usedEnd` is in exactly one state:
 *   referenced   its count is 1 or more: extents of the layer name it
 *   pending      no extent names it now, but a power cut could bring back an extent that does, so it is neither reused
 *                nor punched. A block that was handed out and freed between two commit marks skips this state, because
 *                nothing durable named it
 *   free         no extent can name it any more, and its space is allocated
 *   unbacked     like free, but its space may not be allocated (it was punched, or the blob was opened again)
 * A referenced block is exclusive when one extent names it and a power cut could not bring back a second extent. Only
 * an exclusive block may be overwritten in place. `[usedEnd, backedEnd)` is the tail: allocated space in which no block
 * is in use.
 *
 * Invariant: the space of a block is allocated on the disk before `allocate` returns the block. So a write to the block
 * cannot fail with ENOSPC, and access to a mapped page of it never raises SIGBUS. An `allocate` that fails changes
 * nothing.
 */
import {
  assert,
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  FsError,
  isDiskFull,
  isFsError,
  type Range,
  RangeSet,
} from '../base/index.ts';
import type { BlobFile } from './blob-file.ts';
import type { BlobSpace } from './blob-space.ts';
import { BlockCounts } from './block-counts.ts';
import { shortBlob } from './damage.ts';

/** The blob grows by 32 KiB at first, doubling to 16 MiB. */
const STEP_BLOCKS_MIN = 8;
const STEP_BLOCKS_MAX = 4096;
/** To sync fewer bytes takes less time than to hand the sync to a thread. */
const FLUSH_BYTES_MIN = 1024 * 1024;
/** Freed runs of 256 KiB or more are given back to the disk; unbacked runs are allocated in steps of this size. */
const PUNCH_BLOCKS_MIN = 64;

/** The physical part of a run of an extent map. */
export interface PhysicalRun {
  readonly physical: number;
  readonly count: number;
}

export class ActiveBlob {
  readonly id: BlobId;
  private readonly space: BlobSpace;
  private readonly file: BlobFile;
  private readonly fd: number;
  private readonly counts = new BlockCounts();
  private readonly free = new RangeSet();
  private readonly unbacked = new RangeSet();
  private readonly pending = new RangeSet();
  /** Blocks handed out since the last commit mark: no state that a power cut brings back names them. */
  private readonly fresh = new RangeSet();
  /** Blocks in use that lost a reference since the last durable mark: a power cut could bring it back. */
  private readonly unshared = new RangeSet();
  private usedEnd = 0;
  private backedEnd = 0;
  private stepBlocks = STEP_BLOCKS_MIN;
  /**
   * Every run of `free` has fewer blocks than this, which saves vain searches until `free` gains a run. The next field
   * says the same of `unbacked`.
   */
  private freeRunBound = Number.POSITIVE_INFINITY;
  private unbackedRunBound = Number.POSITIVE_INFINITY;
  /** True when `free` has gained long runs that were never pending; the next `durable` gives them back to the disk. */
  private hasLongFree = false;
  private unsyncedBytes = 0;
  private syncError: FsError | undefined;
  private flushing: Promise<void> | undefined;
  private isOpen = true;

  private constructor(space: BlobSpace, file: BlobFile) {
    this.space = space;
    this.id = file.id;
    this.file = file;
    space.files.writableDescriptor(file);
    this.fd = space.files.pin(file);
  }

  /** Makes the file of a new blob. EEXIST when it exists already. */
  static create(space: BlobSpace, id: BlobId): ActiveBlob {
    return new ActiveBlob(space, space.files.create(id));
  }

  /**
   * Opens the active blob of a layer again. `runs` are all runs of the layer's extents in this blob; blocks that they
   * do not name are free. EIO (DamagedBlobError) if the file is missing or ends before the last of these runs.
   */
  static open(space: BlobSpace, id: BlobId, runs: Iterable<PhysicalRun>): ActiveBlob {
    const blob = new ActiveBlob(space, space.files.of(id));
    try {
      blob.takeRuns(runs);
    } catch (error) {
      blob.close();
      throw error;
    }
    return blob;
  }

  private takeRuns(runs: Iterable<PhysicalRun>): void {
    const used = new RangeSet();
    for (const { physical, count } of runs) {
      this.counts.increase(physical, physical + count);
      used.add(physical, physical + count);
      this.usedEnd = Math.max(this.usedEnd, physical + count);
    }
    this.space.files.refreshSize(this.file);
    const end = this.usedEnd * BLOCK_SIZE;
    if (end > this.file.sizeBytes) throw shortBlob(this.id, this.file.sizeBytes, end);
    // No record says which gaps were punched, so neither gaps nor the tail count as allocated.
    for (const gap of used.gaps(0, this.usedEnd)) this.unbacked.add(gap.start, gap.end);
    this.backedEnd = this.usedEnd;
    this.stepBlocks = Math.min(STEP_BLOCKS_MAX, Math.max(STEP_BLOCKS_MIN, this.usedEnd));
  }

  // State.

  /** The number of blocks up to and including the last block that was handed out and is not known to be free. */
  get lengthBlocks(): number {
    return this.usedEnd;
  }

  /** Blocks below `lengthBlocks` that can be handed out. */
  get freeBlocks(): number {
    return this.free.total + this.unbacked.total;
  }

  /** Blocks that become free at the next `durable`. */
  get pendingBlocks(): number {
    return this.pending.total;
  }

  /** Blocks allocated on the disk beyond `lengthBlocks`. */
  get allocatedTailBlocks(): number {
    return this.backedEnd - this.usedEnd;
  }

  get isDirty(): boolean {
    return this.unsyncedBytes > 0;
  }

  // References.

  /** References to a block from this layer. */
  refs(block: number): number {
    return this.counts.get(block);
  }

  /**
   * True if exactly one extent names the block and no power cut can bring back a second. Then the block may be
   * overwritten in place.
   */
  isExclusive(block: number): boolean {
    return this.counts.get(block) === 1 && (this.unshared.isEmpty || !this.unshared.has(block));
  }

  addRefs(start: number, count: number): void {
    this.assertWritable();
    assert(this.counts.areUsed(start, start + count), 'only blocks in use gain references');
    this.counts.increase(start, start + count);
  }

  /**
   * Takes one reference from each block. A block that has none left becomes pending, or free if no commit mark can name
   * it. Journal the record that frees the blocks before calling this, because `allocate` may hand them out at once.
   */
  dropRefs(start: number, count: number): void {
    this.assertWritable();
    this.counts.decrease(start, start + count, this.afterDrop);
  }

  /** Takes all references from blocks in use; apart from that it is like `dropRefs`. */
  release(start: number, count: number): void {
    this.assertWritable();
    assert(this.counts.areUsed(start, start + count), 'only blocks in use are released');
    this.counts.clear(start, start + count);
    this.addPending(start, start + count);
  }

  private readonly afterDrop = (start: number, end: number, isUnused: boolean): void => {
    if (isUnused) this.addPending(start, end);
    else if (!this.fresh.contains(start, end)) this.unshared.add(start, end);
  };

  private addPending(start: number, end: number): void {
    this.unshared.remove(start, end);
    if (!this.fresh.contains(start, end)) {
      this.pending.add(start, end);
      return;
    }
    this.free.add(start, end);
    this.freeRunBound = Number.POSITIVE_INFINITY;
    if (end - start >= PUNCH_BLOCKS_MIN) this.hasLongFree = true;
  }

  /**
   * Call this before a commit mark is written, because the state that the mark makes durable may name the blocks handed
   * out so far. After the mark would be too late: a mark whose write fails may be on the disk nevertheless.
   */
  beforeMark(): void {
    this.fresh.clear();
  }

  /**
   * Call this when a durable commit mark covers everything up to now. Pending blocks become free, and long free runs
   * are given back to the disk, except for a tail that the blob may soon need.
   */
  durable(): void {
    // `beforeMark` does this too, but is not called before every mark.
    this.fresh.clear();
    this.unshared.clear();
    if (this.pending.isEmpty && !this.hasLongFree) return;
    this.assertWritable();
    const freed = [...this.pending, ...this.takeLongFree()];
    this.pending.clear();
    for (const { start, end } of freed) {
      const isPunched = end - start >= PUNCH_BLOCKS_MIN && end !== this.usedEnd && this.tryPunch(start, end);
      (isPunched ? this.unbacked : this.free).add(start, end);
    }
    // Free blocks at the end become the tail.
    if (this.shrinkUsed(this.free)) this.cutLongTail();
    this.freeRunBound = Number.POSITIVE_INFINITY;
    this.unbackedRunBound = Number.POSITIVE_INFINITY;
  }

  private takeLongFree(): Range[] {
    if (!this.hasLongFree) return [];
    this.hasLongFree = false;
    const long = [...this.free].filter(({ start, end }) => end - start >= PUNCH_BLOCKS_MIN);
    for (const { start, end } of long) this.free.remove(start, end);
    return long;
  }

  /** Gives back the part of the tail that the blob will not need soon; the length of the file stays. */
  private cutLongTail(): void {
    const kept = Math.max(PUNCH_BLOCKS_MIN, Math.min(this.usedEnd, STEP_BLOCKS_MAX));
    const end = this.usedEnd + kept;
    if (this.backedEnd - end < PUNCH_BLOCKS_MIN || !this.tryPunch(end, this.backedEnd)) return;
    this.backedEnd = end;
    this.stepBlocks = Math.min(this.stepBlocks, kept);
  }

  /**
   * Punches blocks. Returns true if their space may be gone: after a failed call too, because its effect is unknown.
   */
  private tryPunch(start: number, end: number): boolean {
    try {
      return this.space.punch(this.id, start, end - start);
    } catch (error) {
      if (isFsError(error)) return true;
      throw error;
    }
  }

  /**
   * Lowers `usedEnd` to below the blocks of `set` that end there, and removes them from `set`. False if there are none.
   */
  private shrinkUsed(set: RangeSet): boolean {
    const start = startOfRangeTo(set, this.usedEnd);
    if (start === this.usedEnd) return false;
    set.remove(start, this.usedEnd);
    this.usedEnd = start;
    return true;
  }

  // Space.

  /**
   * Hands out a run of exactly `count` blocks, with one reference each and with their space allocated: from the first
   * free run that is long enough, else at the end. Their content is undefined until it is written. ENOSPC or EDQUOT,
   * with nothing changed, if the disk is full.
   */
  allocate(count: number): BlockIndex {
    this.assertWritable();
    assert(count > 0, 'at least one block is allocated');
    let start = this.takeFree(count);
    if (start === -1) start = this.takeUnbacked(count);
    if (start === -1) start = this.takeTail(count);
    assert(this.counts.areUnused(start, start + count), 'what is allocated was not in use');
    this.counts.increase(start, start + count);
    this.fresh.add(start, start + count);
    return start as BlockIndex; // The cast: counted in blocks from the blob's start.
  }

  private takeFree(count: number): number {
    if (this.free.isEmpty || count >= this.freeRunBound) return -1;
    const start = this.free.takeRun(count);
    if (start !== undefined) return start;
    this.freeRunBound = count;
    return -1;
  }

  private takeUnbacked(count: number): number {
    if (this.unbacked.isEmpty || count >= this.unbackedRunBound) return -1;
    for (const { start, end } of this.unbacked) {
      if (end - start < count) continue;
      const backed = this.back(start, count, Math.min(end - start, Math.max(count, PUNCH_BLOCKS_MIN)));
      this.unbacked.remove(start, start + backed);
      this.free.add(start + count, start + backed);
      this.freeRunBound = Number.POSITIVE_INFINITY;
      return start;
    }
    this.unbackedRunBound = count;
    return -1;
  }

  private takeTail(count: number): number {
    const start = this.usedEnd;
    const need = start + count - this.backedEnd;
    if (need > 0) {
      const backed = this.back(this.backedEnd, need, Math.max(need, this.stepBlocks));
      // On a nearly full disk large steps keep failing, so steps start small again.
      const isShort = backed < this.stepBlocks;
      this.stepBlocks = isShort ? STEP_BLOCKS_MIN : Math.min(this.stepBlocks * 2, STEP_BLOCKS_MAX);
      this.backedEnd += backed;
      const sizeBytes = this.backedEnd * BLOCK_SIZE;
      if (sizeBytes > this.file.sizeBytes) this.file.setSize(sizeBytes);
    }
    this.usedEnd = start + count;
    return start;
  }

  /**
   * Allocates `wanted` blocks on the disk, or only `need` when the disk is too full for that; returns how many it
   * allocated.
   */
  private back(start: number, need: number, wanted: number): number {
    const { system } = this.space;
    const position = start * BLOCK_SIZE;
    try {
      system.allocate(this.fd, position, wanted * BLOCK_SIZE);
      return wanted;
    } catch (error) {
      if (!isDiskFull(error) || wanted === need) throw error;
    }
    system.allocate(this.fd, position, need * BLOCK_SIZE);
    return need;
  }

  // Bytes.

  /** Writes `source[offset..offset + length]` at byte `position`, into blocks in use. */
  write(position: number, source: Uint8Array, offset: number, length: number): void {
    this.assertWritable();
    if (length === 0) return;
    const first = Math.floor(position / BLOCK_SIZE);
    const end = Math.floor((position + length - 1) / BLOCK_SIZE) + 1;
    assert(this.counts.areUsed(first, end), 'only blocks in use are written');
    this.space.system.pwrite(this.fd, source, offset, length, position);
    this.unsyncedBytes += length;
    this.file.touched.setRange(first, end);
  }

  /**
   * Lets blocks in use, from byte `position` on, share whole blocks of another file: ioctl_ficlonerange(2). False, with
   * nothing changed, if the host cannot do that.
   */
  clone(source: number, sourcePosition: number, length: number, position: number): boolean {
    this.assertWritable();
    const first = position / BLOCK_SIZE;
    const end = first + length / BLOCK_SIZE;
    assert(this.counts.areUsed(first, end), 'only blocks in use are written');
    const isCloned = this.space.system.cloneRange(source, sourcePosition, length, this.fd, position);
    if (!isCloned) return false;
    this.unsyncedBytes += length;
    this.file.touched.setRange(first, end);
    return true;
  }

  /**
   * Starts a sync in the thread pool, so that the `sync` that must follow has little left to wait for. Undefined if
   * there is little to wait for anyway. The promise does not reject when the sync fails: `sync` reports the failure.
   */
  flush(): Promise<void> | undefined {
    if (this.unsyncedBytes < FLUSH_BYTES_MIN || this.syncError !== undefined || !this.isOpen)
      return undefined;
    this.flushing ??= this.space.fetches.add(this.flushByPool());
    return this.flushing;
  }

  private async flushByPool(): Promise<void> {
    const fd = this.space.files.pin(this.file);
    try {
      await this.space.system.dataSyncAsync(fd);
    } catch (error) {
      if (!isFsError(error)) throw error;
      this.syncError = error;
    } finally {
      this.space.files.unpin(this.file);
      this.flushing = undefined;
    }
  }

  /**
   * Makes everything written durable. After a failure every later call fails with EIO: the kernel has marked the pages
   * clean, so a second fdatasync(2) would succeed although the bytes are lost.
   */
  sync(): void {
    if (this.syncError !== undefined) {
      const note = `an earlier sync of blob ${this.id} failed with ${this.syncError.code}; open the fork again`;
      throw new FsError('EIO', { syscall: 'fdatasync', note });
    }
    try {
      // Do not use `fd` here: it is no longer pinned after `close`.
      if (this.isDirty) this.space.system.dataSync(this.space.files.descriptor(this.file));
      // Needed even for a blob that was never written to, because its row will say that the file exists.
      this.space.files.syncName(this.file);
    } catch (error) {
      if (isFsError(error)) this.syncError = error;
      throw error;
    }
    this.unsyncedBytes = 0;
  }

  /**
   * Cuts the file after the last block that an extent could name, without a sync, and returns its length in blocks. The
   * blob can still be written to.
   */
  cutTail(): number {
    this.assertWritable();
    while (this.shrinkUsed(this.free) || this.shrinkUsed(this.unbacked));
    this.space.system.truncate(this.fd, this.usedEnd * BLOCK_SIZE);
    this.backedEnd = this.usedEnd;
    this.space.files.refreshSize(this.file);
    return this.usedEnd;
  }

  /** Closes the descriptor, without a sync. The blob can be opened again. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.space.files.unpin(this.file);
  }

  private assertWritable(): void {
    assert(this.isOpen, 'the active blob is neither frozen nor closed');
  }
}

/** The start of the range of `set` that ends at `end`, or `end` if there is none. */
function startOfRangeTo(set: RangeSet, end: number): number {
  if (end === 0 || !set.has(end - 1)) return end;
  let low = 0;
  let high = end - 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (set.contains(middle, end)) high = middle;
    else low = middle + 1;
  }
  return low;
}
