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
  type BlobId,
  ByteWriter,
  type Clock,
  FsError,
  type Ino,
  isFsError,
  type LayerId,
  type Name,
  type Run,
} from '../base/index.ts';
import type { ActiveBlob, BlobSpace } from '../blob/index.ts';
import { ExtentMap } from '../extent/index.ts';
import {
  type Entry,
  entryOfRow,
  holderOf,
  isDerived,
  type Lower,
  LowerChain,
  mergeNames,
  NO_ENTRY,
  storedRuns,
  UNREAD_ENTRY,
} from '../lower/index.ts';
import { type MapBudget, Mapping, type PhysicalSpace } from '../mapping/index.ts';
import type { InodeRecord, MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import { Batch } from './batch.ts';
import { evictInodes, evictNames } from './evicting.ts';
import { ExternalRecords } from './external-records.ts';
import { Inode } from './inode.ts';
import { anchor, copyUpBytes, refresh, takeNamedBytes } from './live-inodes.ts';
import { Origins } from './origins.ts';
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
  readonly inodes = new Map<Ino, Inode>();
  /** Inodes to be stored by the next checkpoint. */
  readonly dirty = new Set<Inode>();
  /** Inodes whose atime alone moved; stored when the tree is closed. */
  readonly lazyTimes = new Set<Inode>();
  /** Called when the journal has grown to the size at which a checkpoint is due. */
  onCheckpointDue: (() => void) | undefined;
  /** Whether somebody outside, the kernel of a mount, reaches an inode by its number, also without a name. */
  isKept: ((ino: Ino) => boolean) | undefined;
  /** The files that the kernel reads by itself from the blob that they are, each with that blob. */
  passedThrough: (() => Iterable<readonly [Ino, BlobId]>) | undefined;
  isReplaying = false;
  readonly cache: TreeCache;
  /** Names in `children` of all inodes; some that are gone may be counted until room is made. */
  nameCount = 0;
  private isCached = true;
  /** The lowers, and what they say together. */
  chain: LowerChain = new LowerChain([]);
  /** Of derived inodes, and of host files: journalled with the first record that needs them. */
  readonly origins = new Origins();
  readonly externals: ExternalRecords;

  constructor(parts: StackParts, rootIno: Ino, upper: UpperLayer | undefined, lowers: readonly Lower[]) {
    this.tables = parts.tables;
    this.blobs = parts.blobs;
    this.system = parts.system;
    this.clock = parts.clock;
    this.budget = parts.budget;
    this.cache = parts.cache;
    this.externals = new ExternalRecords(parts.tables, parts.blobs);
    this.rootIno = rootIno;
    this.upper = upper;
    this.lowers = lowers;
  }

  /** Uppermost first. */
  get lowers(): readonly Lower[] {
    return this.chain.lowers;
  }

  set lowers(lowers: readonly Lower[]) {
    this.chain = new LowerChain(lowers);
  }

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

  /** The inode of a number. ESTALE when no layer has it. `isLookedUp`: a lookup has given the number just now. */
  inode(ino: Ino, isLookedUp = false): Inode {
    if (!isLookedUp) this.chain.live?.forgetSeen();
    const known = this.chain.live === undefined ? undefined : this.inodes.get(ino);
    if (known !== undefined) this.refreshNow(known);
    return this.living(ino);
  }

  /** As `inode`, for who refreshes it himself. */
  inodeAsKnown(ino: Ino): Inode {
    this.chain.live?.forgetSeen();
    return this.living(ino);
  }

  private living(ino: Ino): Inode {
    const inode = this.inodes.get(ino) ?? this.readInode(ino);
    if (inode === undefined || inode.isDead) throw new FsError('ESTALE', { note: `no inode ${ino}` });
    return inode;
  }

  /** Before an inode is used that was found some time ago: a live layer may say something else of it now. ESTALE. */
  refresh(inode: Inode): void {
    this.chain.live?.forgetSeen();
    this.refreshNow(inode);
  }

  private refreshNow(inode: Inode, { live } = this.chain): void {
    if (live !== undefined && isDerived(inode.ino) && !inode.isDead && !this.isReplaying)
      refresh(live, inode);
  }

  private readInode(ino: Ino): Inode | undefined {
    const recorded = this.readRecorded(ino);
    const record = recorded ?? this.chain.derived?.inode(ino);
    if (record === undefined || record.mode === 0) return undefined;
    const inode = new Inode(ino, record);
    inode.isUnrecorded = recorded === undefined;
    if (recorded !== undefined) this.refreshNow(inode);
    this.inodes.set(ino, inode);
    return inode;
  }

  /** What the tables say of an inode; a tombstone has mode 0. */
  private readRecorded(ino: Ino): InodeRecord | undefined {
    const { upper } = this;
    if (upper?.stored.has(ino)) {
      const record = this.tables.inodes.get(upper.id, ino);
      if (record !== undefined) return record;
    }
    return this.chain.recorded(ino);
  }

  /** Whether a lower layer has this inode, alive. */
  existsBelow(ino: Ino): boolean {
    // One that a live layer does not have now it may have again.
    if (isDerived(ino)) return this.chain.derived !== undefined;
    if (this.isOwnNumber(ino)) return false;
    return this.chain.record(ino) !== undefined;
  }

  /** Given out by the upper layer: no lower has it. */
  private isOwnNumber(ino: Ino): boolean {
    return this.upper !== undefined && ino >= this.upper.firstIno && !isDerived(ino);
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
    evictInodes(this, count);
  }

  dropNames(count: number): void {
    evictNames(this, count);
  }

  /** What `name` is in `directory`; `NO_ENTRY` when there is no such name. */
  lookup(directory: Inode, name: Name): Entry {
    const known = directory.children?.get(name);
    if (known !== undefined && known !== UNREAD_ENTRY) return known;
    if (known === undefined && directory.isComplete) return NO_ENTRY;
    const entry = this.readName(directory, name);
    // What a live layer says is asked for again the next time.
    if (this.chain.isLive(directory.ino)) return entry;
    directory.children ??= new Map();
    if (entry !== NO_ENTRY || directory.children.size < CACHED_NAMES_MAX) {
      directory.children.set(name, entry);
      this.nameCount++;
    }
    return entry;
  }

  /** What the layers above a live one say of a name; undefined when they leave it to that one. */
  recordedName(directory: Inode, name: Name): Entry | undefined {
    const known = directory.children?.get(name);
    if (known !== undefined && known !== UNREAD_ENTRY) return known;
    return this.storedName(directory, name) ?? this.chain.recordedName(directory.ino, name);
  }

  private readName(directory: Inode, name: Name): Entry {
    return this.storedName(directory, name) ?? this.chain.name(directory, name);
  }

  /** What the rows of the upper layer say of a name; undefined where they have none. */
  private storedName(directory: Inode, name: Name): Entry | undefined {
    const { upper } = this;
    if (upper?.stored.has(directory.ino) !== true) return undefined;
    const dentry = this.tables.dentries.get(upper.id, directory.ino, name);
    return dentry && entryOfRow(dentry);
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
      if (!layer.mayHave(directory.ino)) continue;
      // A base layer has no whiteouts, so its names can be read from the keys alone, four times as fast.
      if (layer.isBase && (!needsEntries || layer.isLive)) {
        for (const name of layer.names(directory.ino)) merged.set(name, UNREAD_ENTRY);
      } else mergeNames(merged, layer.list(directory.ino));
    }
    if (this.upper?.stored.has(directory.ino))
      mergeNames(merged, this.tables.dentries.list(this.upper.id, directory.ino));
    for (const [name, entry] of directory.children ?? []) {
      // What was found or changed in memory is newer than the tables.
      if (entry === NO_ENTRY) merged.delete(name);
      else if (entry !== UNREAD_ENTRY) merged.set(name, entry);
    }
    if (this.chain.isLive(directory.ino)) return merged;
    this.nameCount += merged.size - (directory.children?.size ?? 0);
    directory.children = merged;
    directory.isComplete = true;
    return merged;
  }

  /** The bytes of a regular file. */
  mappingOf(inode: Inode): Mapping {
    if (inode.mapping !== undefined) return inode.mapping;
    const mapping = new Mapping(this, ExtentMap.fromRuns(this.storedRuns(inode)), inode);
    inode.mapping = mapping;
    return mapping;
  }

  /** A file's runs as the layers have them. */
  storedRuns(inode: Inode): readonly Run[] {
    const holder = this.holderOf(inode, 'extentLayer');
    if (holder === 0) return [];
    const lower = this.chain.find(holder);
    if (lower !== undefined) return lower.runs(inode.ino, inode.record.size);
    return storedRuns(this.tables, holder, inode.ino, inode.record.size);
  }

  /** An inode that lost its last memory map may have lost the last that kept it. */
  onUnmapped(owner: object): void {
    if (owner instanceof Inode) this.releaseIfUnused(owner);
  }

  /** Before bytes of the file are changed: what is the host's becomes the upper layer's; see `copyUpBytes`. */
  copyUp(inode: Inode, mustTake = false): void {
    const { live } = this.chain;
    this.refresh(inode);
    if (live !== undefined && inode.record.extentLayer === live.id) copyUpBytes(this, live, inode, mustTake);
    else if (mustTake) takeNamedBytes(this, inode, this.mappingOf(inode));
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

  /** Begins the one batch of the process; EROFS on a snapshot. What an earlier, failed operation left in it is gone. */
  begin(): Batch {
    this.writable();
    return BATCH.reset();
  }

  /** Journals the batch as one record and applies it. When the journal cannot take it nothing has changed. */
  commit(batch: Batch): void {
    const upper = this.writable();
    try {
      const { derived, live } = this.chain;
      if (live !== undefined) anchor(this, live, batch);
      const writer = EFFECTS.reset();
      if (derived !== undefined) this.origins.encode(derived, writer, batch);
      this.externals.encode(writer, batch);
      for (const inode of batch.runInodes) this.mappingOf(inode);
      batch.encode(writer, upper.id);
      // Opened now if the change will need it: once the record is written nothing may fail.
      if (this.needsActive(batch, upper)) upper.activeBlob();
      upper.journal.append(writer.view(), batch.givesBack);
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

  /** Where the host cannot be asked the whiteout stays: what was removed does not come back. */
  private showsFromLive(directory: Inode, name: Name): boolean {
    try {
      return this.chain.name(directory, name) !== NO_ENTRY;
    } catch (error) {
      if (!isFsError(error)) throw error;
      return true;
    }
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
    if (this.isOwnNumber(inode.ino) && !this.upper.stored.has(inode.ino) && !this.isReplaying) {
      // It was made and lost between two checkpoints: the tables never heard of it.
      this.dirty.delete(inode);
      inode.isDirty = false;
      this.inodes.delete(inode.ino);
      // Until the checkpoint it stays, dead: a lower layer would show its record again.
    } else this.markDirty(inode);
  }

  /** Whether `name` in `directory` would show through from a lower layer if the upper one said nothing of it. */
  showsFromBelow(directory: Inode, name: Name): boolean {
    if (this.chain.isLive(directory.ino)) return this.showsFromLive(directory, name);
    return this.existsBelow(directory.ino) && this.chain.name(directory, name) !== NO_ENTRY;
  }
}
