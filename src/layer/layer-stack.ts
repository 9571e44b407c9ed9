/**
 * The layers of one open tree, seen as one: an upper layer that changes (a snapshot has none) over lower layers, to
 * which nothing is written. Every row is keyed by inode number, so a stack asks the upper layer first and then each
 * lower one, and copy-up only writes a record under the same number in the upper layer.
 *
 * Changes live in memory and in the journal until a checkpoint writes them to the tables. Within a process the `Inode`
 * object is the truth about an inode of the tree.
 *
 * Invariants (fsck passes in brackets): a layer with a name in a directory holds that directory's record [filters];
 * `extentLayer` names the layer that holds an inode's complete map [extents]; an inode with a link count of zero
 * has no name and dies with its last opener [links].
 *
 * `StackState` has the state and `StackLookup` finds inodes and names; this file has bytes, changes and removal.
 */
import { type BlobId, ByteWriter, kindOfMode, type LayerId, type Name, type Run } from '../base/index.ts';
import type { ActiveBlob } from '../blob/index.ts';
import { ExtentMap } from '../extent/index.ts';
import {
  type DerivedLower,
  type Entry,
  entryIno,
  entryOf,
  holderOf,
  NO_ENTRY,
  storedRuns,
} from '../lower/index.ts';
import { Mapping, type PhysicalSpace } from '../mapping/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { Batch } from './batch.ts';
import { Inode } from './inode.ts';
import { StackLookup } from './stack-lookup.ts';
import type { UpperLayer } from './upper-layer.ts';

/**
 * A checkpoint is due at this many changed inodes, journal records or bytes, which limits the time of a freeze. A new
 * file is about three rows and takes some 11 µs, sync included, so 2,048 of them take under 25 ms.
 */
const CHECKPOINT_INODES = 2_048;
const CHECKPOINT_RECORDS = 50_000;
const CHECKPOINT_BYTES = 16 * 1024 * 1024;
/**
 * The buffer for an encoded batch. All stacks of the process share it, because a batch is encoded and journalled in one
 * go.
 */
const EFFECTS = new ByteWriter(4096);

export class LayerStack extends StackLookup implements PhysicalSpace {
  private readonly batch = new Batch();
  private isCached = true;

  // Bytes.

  /**
   * The active blob; 0 without an upper layer, and during a replay. A replay does not count blocks, because opening the
   * blob afterwards counts them from the tables.
   */
  get activeId(): BlobId | 0 {
    return this.isReplaying ? 0 : (this.upper?.activeId ?? 0);
  }

  activeBlob(): ActiveBlob {
    return this.writable().activeBlob();
  }

  commitMark(): void {
    this.writable().commitMark();
  }

  /** The mapping of a regular file, which reads and writes its bytes. */
  mappingOf(inode: Inode): Mapping {
    if (inode.mapping !== undefined) return inode.mapping;
    const mapping = new Mapping(this, ExtentMap.fromRuns(this.storedRuns(inode)), inode);
    inode.mapping = mapping;
    return mapping;
  }

  /** A file's runs as the tables, or a lower layer without rows, have them. */
  storedRuns(inode: Inode): readonly Run[] {
    const holder = this.holderOf(inode, 'extentLayer');
    if (holder === 0) return [];
    const lower = this.chain.find(holder);
    if (lower !== undefined) return lower.runs(inode.ino, inode.record.size);
    return storedRuns(this.tables, holder, inode.ino, inode.record.size);
  }

  /** Called when a file's last memory map is gone, which may have been the last use of an inode without a name. */
  onUnmapped(inode: object): void {
    if (inode instanceof Inode) this.releaseIfUnused(inode);
  }

  xattrsOf(inode: Inode): Map<string, Buffer> {
    if (inode.xattrs !== undefined) return inode.xattrs;
    const holder = this.holderOf(inode, 'xattrLayer');
    if (holder === 0) inode.xattrs = new Map();
    else {
      const lower = this.chain.find(holder);
      const stored =
        lower === undefined ? this.tables.xattrs.get(holder, inode.ino) : lower.xattrs(inode.ino);
      inode.xattrs = stored ?? new Map();
    }
    return inode.xattrs;
  }

  private holderOf(inode: Inode, field: 'extentLayer' | 'xattrLayer'): LayerId | 0 {
    const named = inode.record[field];
    return named === this.upper?.id ? named : holderOf(this.lowers, inode.ino, field, named);
  }

  // Changing.

  /**
   * Performs one operation: journals everything that `gather` puts into the batch as one record, and then applies the
   * record. So the operation happens wholly or not at all, even when the disk is full. An empty batch leaves no record.
   * `gather` must not call `change`. Returns the result of `gather`. EROFS on a snapshot, before `gather` is called.
   */
  change<T>(gather: (batch: Batch) => T): T {
    const upper = this.writable();
    const batch = this.batch.open();
    let result: T;
    try {
      result = this.journal(gather, batch, upper);
      this.apply(batch);
    } finally {
      batch.close();
    }
    this.trim();
    const { recordCount, lengthBytes } = upper.journal;
    const isDue = recordCount >= CHECKPOINT_RECORDS || lengthBytes >= CHECKPOINT_BYTES;
    if (isDue || this.dirty.size >= CHECKPOINT_INODES) this.keeper.onCheckpointDue();
    return result;
  }

  /** Gathers and journals a change. If this throws, nothing has changed. */
  private journal<T>(gather: (batch: Batch) => T, batch: Batch, upper: UpperLayer): T {
    try {
      const result = gather(batch);
      if (batch.isEmpty) return result;
      const { derived, live } = this.chain;
      if (live !== undefined) this.anchor(live, batch);
      const writer = EFFECTS.reset();
      if (derived !== undefined) this.origins.encode(derived, writer, batch);
      this.externals.encode(writer, batch);
      for (const inode of batch.runInodes) this.mappingOf(inode);
      batch.encode(writer, upper.id);
      // Open the active blob now if the change will need it: nothing may fail once the record is written.
      if (this.needsActive(batch, upper)) upper.activeBlob();
      upper.journal.append(writer.view(), batch.givesBack);
      return result;
    } catch (error) {
      for (let index = 0; index < batch.runInodes.length; index++) {
        this.mappingOf(batch.runInodes[index]!).abandon(batch.runLists[index]!);
      }
      throw error;
    }
  }

  private needsActive(batch: Batch, upper: UpperLayer): boolean {
    if (batch.runInodes.length > 0) return true;
    for (let index = 0; index < batch.inodes.length; index++) {
      const inode = batch.inodes[index]!;
      if (batch.drafts[index]!.nlink > 0 || !inode.isFile || this.isInUse(inode)) continue;
      if (inode.record.extentLayer === upper.id && this.hasRunIn(inode, upper.activeId)) return true;
    }
    return false;
  }

  private hasRunIn(inode: Inode, blob: BlobId): boolean {
    for (const run of this.mappingOf(inode).extents) if (run.blob === blob) return true;
    return false;
  }

  private apply(batch: Batch): void {
    for (let index = 0; index < batch.runInodes.length; index++) {
      this.installRuns(batch.runInodes[index]!, batch.runLists[index]!);
    }
    for (let index = 0; index < batch.inodes.length; index++) {
      const inode = batch.inodes[index]!;
      const draft = batch.drafts[index]!;
      const isHosts = draft.extentLayer === this.chain.live?.id;
      if (inode.mapping !== undefined && !isHosts) draft.blocks = inode.mapping.extents.blockCount;
      inode.record = draft;
      inode.isUnrecorded = false;
      this.inodes.set(inode.ino, inode);
      this.markDirty(inode);
    }
    for (const { directory, name, entry } of batch.anchors) this.applyName(directory, name, entry);
    for (const { directory, name, entry } of batch.names) this.applyName(directory, name, entry);
    for (let index = 0; index < batch.xattrInodes.length; index++) {
      const inode = batch.xattrInodes[index]!;
      inode.xattrs = batch.xattrMaps[index]!;
      inode.areXattrsDirty = true;
    }
    for (const inode of batch.inodes) if (inode.record.nlink === 0) this.releaseIfUnused(inode);
  }

  /**
   * Keeps the inodes in the batch reachable, whatever happens to their names on the host. For each inode that no layer
   * above the live one has recorded, adds to the batch the name under which the live layer has the inode, and the names
   * of the directories above, unless a higher layer has another entry for such a name.
   */
  private anchor(live: DerivedLower, batch: Batch): void {
    // The loop also reaches the directories that it adds.
    for (let index = 0; index < batch.inodes.length; index++) {
      const inode = batch.inodes[index]!;
      if (!inode.isUnrecorded) continue;
      const place = live.placeOf(inode.ino);
      if (place === undefined) continue;
      const directory = this.inode(place.directory);
      const recorded = this.recordedName(directory, place.name);
      if (recorded !== undefined && entryIno(recorded) !== inode.ino) continue;
      batch.change(directory);
      // `parent` is the hint that leads from a file to its name.
      if (!inode.isDirectory) batch.change(inode).parent = directory.ino;
      batch.anchorName(directory, place.name, entryOf(inode.ino, kindOfMode(inode.record.mode)));
    }
  }

  /**
   * Puts runs into a file's map. Call this before the inode gets its new record: only the old record says that the map
   * comes from a lower layer, and must therefore be stored whole.
   */
  installRuns(inode: Inode, runs: Parameters<Mapping['install']>[0]): void {
    const mapping = this.mappingOf(inode);
    if (inode.record.extentLayer !== this.writable().id) mapping.extents.markAllDirty();
    mapping.install(runs);
  }

  applyName(directory: Inode, name: Name, entry: Entry): void {
    directory.children ??= new Map();
    const before = directory.children.size;
    // A complete listing has only names that exist, in the order in which they were added.
    if (entry === NO_ENTRY && directory.isComplete) directory.children.delete(name);
    else directory.children.set(name, entry);
    this.nameCount += directory.children.size - before;
    directory.namesVersion++;
    directory.changedNames ??= new Map();
    directory.changedNames.set(name, entry);
    this.markDirty(directory);
  }

  /** An inode with a new number, to be added to a batch with `create`. */
  newInode(record: InodeRecord): Inode {
    return new Inode(this.writable().nextIno(), record);
  }

  // Removal.

  private isInUse(inode: Inode): boolean {
    return inode.isInUse || this.keeper.isKept(inode.ino);
  }

  /** Frees an inode that has no name and is neither open nor mapped. */
  releaseIfUnused(inode: Inode): void {
    if (inode.record.nlink > 0 || inode.isDead || this.isInUse(inode)) return;
    if (this.upper === undefined || !this.upper.isOpen) return;
    if (inode.isFile && inode.record.extentLayer === this.upper.id) {
      const { extents } = this.mappingOf(inode);
      const { activeId } = this;
      // Open the blob before anything changes: if that fails, the inode stays as it is and recovery frees it.
      if (activeId !== 0 && this.hasRunIn(inode, activeId)) this.activeBlob();
      extents.clear(0 as never, Number.POSITIVE_INFINITY, (blob, physical, count) => {
        if (blob === activeId) this.activeBlob().dropRefs(physical, count);
      });
    }
    inode.isDead = true;
    this.lazyTimes.delete(inode);
    if (this.isOwnNumber(inode.ino) && !this.upper.stored.has(inode.ino) && !this.isReplaying) {
      // The inode was created and removed between two checkpoints, so the tables know nothing of it.
      this.dirty.delete(inode);
      inode.isDirty = false;
      this.inodes.delete(inode.ino);
      // The dead inode stays until the checkpoint: otherwise a lower layer would show its record again.
    } else this.markDirty(inode);
  }

  /**
   * Follows dedupe, which gives files of frozen layers other blocks with the same bytes. Makes the files in memory name
   * the blocks that the tables name now. Extents read from the old rows stay right while the old blocks exist, and gc
   * frees the old blocks only once no process relies on them. False when a file must keep the old blocks, because its
   * memory maps would get too many pieces.
   */
  followExtents(): boolean {
    let isDone = true;
    for (const inode of this.inodes.values()) {
      // In the upper layer the map is the truth, and the tables follow it.
      if (!inode.isFile || inode.isDead || inode.record.extentLayer === (this.upper?.id ?? 0)) continue;
      const { mapping } = inode;
      if (mapping?.isMapped !== true) inode.mapping = undefined;
      else if (!mapping.follow(this.storedRuns(inode))) isDone = false;
    }
    return isDone;
  }

  /** Whether the kernel reads, in place of some file, a blob that the tables no longer name as that file's content. */
  isHeldByKernel(): boolean {
    for (const [ino, passed] of this.keeper.passedThrough()) {
      const [run, ...others] = this.storedRuns(this.inodes.get(ino) ?? this.inode(ino));
      if (run?.blob !== passed || run.physical !== 0 || others.length > 0) return true;
    }
    return false;
  }

  /** Keeps what this process has in memory within its limits. Call it only between operations. */
  trim(): void {
    if (this.isCached) this.cache.noteUse(this);
  }

  /** Takes a closed tree out of the cache. Its memory is freed with its last open file. */
  leaveCache(): void {
    this.isCached = false;
    this.cache.forget(this);
  }
}
