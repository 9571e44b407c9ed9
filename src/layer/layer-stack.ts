/**
 * The layers of one open tree, seen as one: an upper layer that changes (none for a snapshot) over frozen lowers.
 * Every row is keyed by inode number, so a stack asks the upper layer first and then each lower one, and copy-up is
 * nothing but a record under the same number in the upper layer.
 *
 * Changes live in memory and in the journal until a checkpoint writes them to the tables. Within a process the
 * `Inode` object is the truth about an inode of the tree.
 *
 * Invariants (fsck passes in brackets): a layer with a name in a directory holds that directory's record [filters];
 * `extentLayer` names the layer that holds an inode's complete map [extents]; an inode with a link count of zero
 * has no name and dies with its last opener [links].
 */

import {
  BLOCK_SIZE,
  type BlobId,
  ByteWriter,
  type Clock,
  FsError,
  type Ino,
  type LayerId,
  type Name,
} from '../base/index.ts';
import type { ActiveBlob, BlobSpace } from '../blob/index.ts';
import { CHUNK_BLOCKS, ExtentMap } from '../extent/index.ts';
import { type MapBudget, Mapping, type PhysicalSpace } from '../mapping/index.ts';
import type { InodeRecord, MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import { Batch } from './batch.ts';
import { encodeInodeEffect, encodeName, encodeRuns, encodeXattrs } from './effect-format.ts';
import { type Entry, entryIno, entryKind, entryOf, NO_ENTRY, UNREAD_ENTRY } from './entry.ts';
import type { FrozenLayer } from './frozen-layer.ts';
import { holderOf } from './holder.ts';
import { Inode } from './inode.ts';
import { NamesBetween } from './names-between.ts';
import type { CachedTree, TreeCache } from './tree-cache.ts';
import type { UpperLayer } from './upper-layer.ts';

/** Names that a directory may hold before names that do not exist are no longer remembered. */
const CACHED_NAMES_MAX = 65_536;
/**
 * A checkpoint is due at so many changed inodes, journal records or bytes: they bound the time that a freeze takes.
 * A new file is about three rows and takes some 11 µs, sync included, so 2,048 of them take under 25 ms.
 */
const CHECKPOINT_INODES = 2_048;
const CHECKPOINT_RECORDS = 50_000;
const CHECKPOINT_BYTES = 16 * 1024 * 1024;
/** One for all stacks of the process: a batch is encoded and journalled in one go. */
const EFFECTS = new ByteWriter(4096);
const BATCH = new Batch();

export interface StackParts {
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly system: System;
  readonly clock: Clock;
  readonly budget: MapBudget;
  readonly cache: TreeCache;
}

export class LayerStack implements PhysicalSpace, CachedTree {
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly system: System;
  readonly clock: Clock;
  readonly budget: MapBudget;
  readonly rootIno: Ino;
  upper: UpperLayer | undefined;
  lowers: readonly FrozenLayer[];
  readonly inodes = new Map<Ino, Inode>();
  /** Inodes to be stored by the next checkpoint. */
  readonly dirty = new Set<Inode>();
  /** Inodes whose atime alone moved; stored when the tree is closed. */
  readonly lazyTimes = new Set<Inode>();
  /** Called when the journal has grown to the size at which a checkpoint is due. */
  onCheckpointDue: (() => void) | undefined;
  /**
   * Whether somebody outside reaches an inode by its number, also when its last name is gone: the kernel, of a mount.
   */
  isKept: ((ino: Ino) => boolean) | undefined;
  isReplaying = false;
  readonly cache: TreeCache;
  /** Names in `children` of all inodes; some that are gone may be counted until room is made. */
  nameCount = 0;
  private isCached = true;

  constructor(
    parts: StackParts,
    rootIno: Ino,
    upper: UpperLayer | undefined,
    lowers: readonly FrozenLayer[],
  ) {
    this.tables = parts.tables;
    this.blobs = parts.blobs;
    this.system = parts.system;
    this.clock = parts.clock;
    this.budget = parts.budget;
    this.cache = parts.cache;
    this.rootIno = rootIno;
    this.upper = upper;
    this.lowers = lowers;
  }

  // Physical space, as mapping needs it.

  /** During a replay blocks are not counted: the counts are made from the tables when the blob is opened. */
  get activeId(): BlobId | 0 {
    return this.isReplaying ? 0 : (this.upper?.activeId ?? 0);
  }

  activeBlob(): ActiveBlob {
    return this.writable().activeBlob();
  }

  commitMark(): void {
    this.writable().commitMark();
  }

  /** The upper layer. EROFS when the tree is a snapshot; EBADF when it was closed and may have another owner. */
  writable(): UpperLayer {
    if (this.upper === undefined) throw new FsError('EROFS');
    if (!this.upper.isOpen) throw new FsError('EBADF', { note: 'the fork was closed: open it again' });
    return this.upper;
  }

  // Looking up.

  get root(): Inode {
    return this.inode(this.rootIno);
  }

  /** The inode of a number. ESTALE when no layer has it. */
  inode(ino: Ino): Inode {
    const inode = this.inodes.get(ino) ?? this.readInode(ino);
    if (inode === undefined || inode.isDead) throw new FsError('ESTALE', { note: `no inode ${ino}` });
    return inode;
  }

  private readInode(ino: Ino): Inode | undefined {
    const record = this.readRecord(ino);
    if (record === undefined) return undefined;
    const inode = new Inode(ino, record);
    this.inodes.set(ino, inode);
    return inode;
  }

  private readRecord(ino: Ino): InodeRecord | undefined {
    const { upper } = this;
    if (upper?.stored.has(ino)) {
      const record = this.tables.inodes.get(upper.id, ino);
      if (record !== undefined) return record.mode === 0 ? undefined : record;
    }
    return this.readLowerRecord(ino);
  }

  private readLowerRecord(ino: Ino): InodeRecord | undefined {
    for (const layer of this.lowers) {
      const record = layer.inode(ino);
      if (record !== undefined) return record.mode === 0 ? undefined : record;
    }
    return undefined;
  }

  /** Whether a lower layer has this inode, alive. */
  existsBelow(ino: Ino): boolean {
    if (this.upper !== undefined && ino >= this.upper.firstIno) return false;
    return this.readLowerRecord(ino) !== undefined;
  }

  /** Keeps what this process has in memory within its limits. Called between operations only. */
  trim(): void {
    if (this.isCached) this.cache.noteUse(this);
  }

  /** The tree was closed: what it has goes when the last of its open files does. */
  leaveCache(): void {
    this.isCached = false;
    this.cache.forget(this);
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

  /** Changed names wait for the checkpoint. The count is made exact on the way. */
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

  /** The access times of the oldest inodes are stored: until then a tree that was only read could drop none of them. */
  private storeLazyTimes(count: number): void {
    let left = count;
    let isDue = false;
    for (const inode of this.lazyTimes) {
      if (left-- <= 0) break;
      this.lazyTimes.delete(inode);
      if (inode.isDead) continue;
      this.markDirty(inode);
      isDue = true;
    }
    if (isDue) this.onCheckpointDue?.();
  }

  /** What `name` is in `directory`; `NO_ENTRY` when there is no such name. */
  lookup(directory: Inode, name: Name): Entry {
    const known = directory.children?.get(name);
    if (known !== undefined && known !== UNREAD_ENTRY) return known;
    if (known === undefined && directory.isComplete) return NO_ENTRY;
    const entry = this.readName(directory, name);
    directory.children ??= new Map();
    if (entry !== NO_ENTRY || directory.children.size < CACHED_NAMES_MAX) {
      directory.children.set(name, entry);
      this.nameCount++;
    }
    return entry;
  }

  private readName(directory: Inode, name: Name): Entry {
    const { upper } = this;
    if (upper?.stored.has(directory.ino)) {
      const dentry = this.tables.dentries.get(upper.id, directory.ino, name);
      if (dentry !== undefined) return dentry.ino === 0 ? NO_ENTRY : entryOf(dentry.ino, dentry.kind);
    }
    return this.readLowerName(directory, name);
  }

  private readLowerName(directory: Inode, name: Name): Entry {
    const { lowers } = this;
    if (lowers.length < 2) {
      const dentry = lowers[0]?.dentry(directory.ino, name);
      return dentry === undefined || dentry.ino === 0 ? NO_ENTRY : entryOf(dentry.ino, dentry.kind);
    }
    let between = directory.namesBetween;
    if (between?.lowers !== lowers) {
      between = new NamesBetween(this.tables, lowers, directory.ino);
      directory.namesBetween = between;
    }
    return between.lookup(name);
  }

  /**
   * All names of a directory, merged from every layer; `UNREAD_ENTRY` stands for an inode number that was not
   * needed yet, which with `needsEntries` are as few as can be: it is what reading them together is for.
   */
  list(directory: Inode, needsEntries = false): ReadonlyMap<Name, Entry> {
    if (directory.isComplete && directory.children !== undefined) return directory.children;
    const merged = new Map<Name, Entry>();
    for (let index = this.lowers.length - 1; index >= 0; index--) {
      const layer = this.lowers[index]!;
      if (layer.mayHave(directory.ino))
        this.mergeNames(merged, layer.id, directory.ino, layer.isBase && !needsEntries);
    }
    if (this.upper?.stored.has(directory.ino)) this.mergeNames(merged, this.upper.id, directory.ino, false);
    for (const [name, entry] of directory.children ?? []) {
      // What was found or changed in memory is newer than the tables.
      if (entry === NO_ENTRY) merged.delete(name);
      else if (entry !== UNREAD_ENTRY) merged.set(name, entry);
    }
    this.nameCount += merged.size - (directory.children?.size ?? 0);
    directory.children = merged;
    directory.isComplete = true;
    return merged;
  }

  /** A base layer has no whiteouts, so its names can be read from the keys alone, four times as fast. */
  private mergeNames(merged: Map<Name, Entry>, layer: LayerId, directory: Ino, isBase: boolean): void {
    if (isBase) {
      for (const name of this.tables.dentries.names(layer, directory)) merged.set(name, UNREAD_ENTRY);
      return;
    }
    for (const { name, dentry } of this.tables.dentries.list(layer, directory)) {
      if (dentry.ino === 0) merged.delete(name);
      else merged.set(name, entryOf(dentry.ino, dentry.kind));
    }
  }

  /** The bytes of a regular file. */
  mappingOf(inode: Inode): Mapping {
    if (inode.mapping !== undefined) return inode.mapping;
    const holder = this.holderOf(inode, 'extentLayer');
    const { extents } = this.tables;
    // No run begins behind the end of the file: one row has all of a small one.
    const isSmall = inode.record.size <= CHUNK_BLOCKS * BLOCK_SIZE;
    const runs =
      holder === 0 ? [] : isSmall ? extents.loadFirst(holder, inode.ino) : extents.load(holder, inode.ino);
    const mapping = new Mapping(this, ExtentMap.fromRuns(runs ?? []), inode);
    inode.mapping = mapping;
    return mapping;
  }

  /** An inode that lost its last memory map may have lost the last that kept it. */
  onUnmapped(owner: object): void {
    if (owner instanceof Inode) this.releaseIfUnused(owner);
  }

  xattrsOf(inode: Inode): Map<string, Buffer> {
    if (inode.xattrs !== undefined) return inode.xattrs;
    const holder = this.holderOf(inode, 'xattrLayer');
    inode.xattrs = holder === 0 ? new Map() : (this.tables.xattrs.get(holder, inode.ino) ?? new Map());
    return inode.xattrs;
  }

  private holderOf(inode: Inode, field: 'extentLayer' | 'xattrLayer'): LayerId | 0 {
    const named = inode.record[field];
    return named === this.upper?.id ? named : holderOf(this.lowers, inode.ino, field, named);
  }

  // Changing.

  /** Begins the one batch of the process; EROFS on a snapshot. What an earlier, failed operation left in it is gone. */
  begin(): Batch {
    this.writable();
    return BATCH.reset();
  }

  /** Journals the batch as one record and applies it. When the journal cannot take it nothing has changed. */
  commit(batch: Batch): void {
    const upper = this.writable();
    const writer = EFFECTS.reset();
    for (let index = 0; index < batch.runInodes.length; index++) {
      const inode = batch.runInodes[index]!;
      this.mappingOf(inode);
      batch.change(inode).extentLayer = upper.id;
      encodeRuns(writer, inode.ino, batch.runLists[index]!);
    }
    for (const inode of batch.xattrInodes) batch.change(inode).xattrLayer = upper.id;
    for (let index = 0; index < batch.inodes.length; index++) {
      encodeInodeEffect(writer, batch.inodes[index]!.ino, batch.drafts[index]!);
    }
    for (const { directory, name, entry } of batch.names) {
      encodeName(writer, directory.ino, name, entryIno(entry), entryKind(entry));
    }
    for (let index = 0; index < batch.xattrInodes.length; index++) {
      encodeXattrs(writer, batch.xattrInodes[index]!.ino, batch.xattrMaps[index]!);
    }
    try {
      // Opened now if the change will need it: once the record is written nothing may fail.
      if (this.needsActive(batch, upper)) upper.activeBlob();
      upper.journal.append(writer.view());
    } catch (error) {
      for (let index = 0; index < batch.runInodes.length; index++) {
        this.mappingOf(batch.runInodes[index]!).abandon(batch.runLists[index]!);
      }
      throw error;
    }
    this.apply(batch);
    this.trim();
    const { recordCount, lengthBytes } = upper.journal;
    const isDue = recordCount >= CHECKPOINT_RECORDS || lengthBytes >= CHECKPOINT_BYTES;
    if (isDue || this.dirty.size >= CHECKPOINT_INODES) this.onCheckpointDue?.();
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
      if (inode.mapping !== undefined) draft.blocks = inode.mapping.extents.blockCount;
      inode.record = draft;
      this.inodes.set(inode.ino, inode);
      this.markDirty(inode);
    }
    for (const { directory, name, entry } of batch.names) this.applyName(directory, name, entry);
    for (let index = 0; index < batch.xattrInodes.length; index++) {
      const inode = batch.xattrInodes[index]!;
      inode.xattrs = batch.xattrMaps[index]!;
      inode.areXattrsDirty = true;
    }
    for (const inode of batch.inodes) if (inode.record.nlink === 0) this.releaseIfUnused(inode);
  }

  /** The record that is replaced still says where the map came from: a map from a lower layer is stored whole. */
  installRuns(inode: Inode, runs: Parameters<Mapping['install']>[0]): void {
    const mapping = this.mappingOf(inode);
    if (inode.record.extentLayer !== this.writable().id) mapping.extents.markAllDirty();
    mapping.install(runs);
  }

  applyName(directory: Inode, name: Name, entry: Entry): void {
    directory.children ??= new Map();
    const before = directory.children.size;
    // A complete listing keeps the order in which names came; a name that is gone leaves it.
    if (entry === NO_ENTRY && directory.isComplete) directory.children.delete(name);
    else directory.children.set(name, entry);
    this.nameCount += directory.children.size - before;
    directory.namesVersion++;
    directory.changedNames ??= new Map();
    directory.changedNames.set(name, entry);
    this.markDirty(directory);
  }

  markDirty(inode: Inode): void {
    if (inode.isDirty) return;
    inode.isDirty = true;
    this.dirty.add(inode);
  }

  /** A new inode number, and the inode for it; it is stored with the batch that creates it. */
  newInode(record: InodeRecord): Inode {
    return new Inode(this.writable().nextIno(), record);
  }

  private isInUse(inode: Inode): boolean {
    return inode.isInUse || this.isKept?.(inode.ino) === true;
  }

  /** Frees an inode that has no name and that nobody has open or mapped. */
  releaseIfUnused(inode: Inode): void {
    if (inode.record.nlink > 0 || inode.isDead || this.isInUse(inode)) return;
    if (this.upper === undefined || !this.upper.isOpen) return;
    if (inode.isFile && inode.record.extentLayer === this.upper.id) {
      const { extents } = this.mappingOf(inode);
      const { activeId } = this;
      // Opened before anything changes: where that fails the inode stays as it is, for recovery to free.
      if (activeId !== 0 && this.hasRunIn(inode, activeId)) this.activeBlob();
      extents.clear(0 as never, Number.POSITIVE_INFINITY, (blob, physical, count) => {
        if (blob === activeId) this.activeBlob().dropRefs(physical, count);
      });
    }
    inode.isDead = true;
    this.lazyTimes.delete(inode);
    if (inode.ino >= this.upper.firstIno && !this.upper.stored.has(inode.ino) && !this.isReplaying) {
      // It was made and lost between two checkpoints: the tables never heard of it.
      this.dirty.delete(inode);
      inode.isDirty = false;
      this.inodes.delete(inode.ino);
      // Until the checkpoint it stays, dead: a lower layer would show its record again.
    } else this.markDirty(inode);
  }

  /** Whether `name` in `directory` would show through from a lower layer if the upper one said nothing of it. */
  showsFromBelow(directory: Inode, name: Name): boolean {
    return this.existsBelow(directory.ino) && this.readLowerName(directory, name) !== NO_ENTRY;
  }
}
