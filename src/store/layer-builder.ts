/**
 * Builds one frozen layer in bulk, without a journal, for an import. Rows go to the tables in transactions of at most
 * 20 ms, so that owners of other layers are not held up. Large files get blobs of their own; small ones are packed
 * together.
 *
 * Until `finish` the layer is in state 'building' and no tree names it. `finish` makes its blobs durable and sealed,
 * then freezes the layer and writes the snapshot in one transaction. After a crash gc finds a 'building' layer whose
 * lock nobody holds, and removes it with its rows and blobs.
 *
 * The content table has the place of each stored content, so that the builder stores identical content once, also
 * across imports. The builder uses a row there only if the row's blob is sealed or its own. Gc drops no content while a
 * living builder exists, and removes content rows before it drops their blocks.
 *
 * Neighbours: `transfer` reads the host and computes the hashes; this file knows nothing of the host.
 */
import {
  assert,
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  FsError,
  type Ino,
  type LayerId,
  type Name,
  type Run,
  runsByChunk,
  yieldToEventLoop,
} from '../base/index.ts';
import { type BlobSpace, BlobWriter } from '../blob/index.ts';
import type {
  BlobKind,
  HostIdentity,
  InodeRecord,
  LayerRecord,
  MetaTables,
  TreeRecord,
} from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import { type ContentPlace, ContentQueue } from './content-queue.ts';
import { LayerLock } from './layer-lock.ts';
import { OwnBlob } from './own-blob.ts';
import { RowQueue } from './row-queue.ts';
import type { StoreParts } from './store-parts.ts';
import type { StoredTree } from './stored-tree.ts';
import type { TreeRows } from './tree-rows.ts';

export { type ContentPlace, OwnBlob };

/** The builder closes a packed blob, and begins the next, before the blob would become larger than this. */
const PACKED_BYTES_MAX = 64 * 1024 * 1024;
const INODE_RANGE = 4096;
const ROWS_AT_ONCE = 2048;
const BLOB_RANGE_MAX = 64;
/** Limits of the blobs that wait to be sealed, since each holds an open descriptor, and 8 bytes of memory per block. */
const UNSEALED_MAX = 64;
const UNSEALED_BYTES_MAX = 8 * 1024 ** 3;

export interface LayerBuilderOptions {
  /** The name of the snapshot to make. EEXIST when it is taken. */
  readonly name: string;
  /** Where the tree comes from, as shown to users: a host path, or the name of the tree that it stands on. */
  readonly source: string;
  /** The frozen tree that the layer stands on, if any. */
  readonly base?: StoredTree | undefined;
}

export class LayerBuilder {
  readonly name: string;
  readonly source: string;
  readonly layer: LayerId;
  readonly root: Ino;
  /** The tree that the layer stands on; only differences from it are put into the layer. */
  readonly base: StoredTree | undefined;
  private readonly tables: MetaTables;
  private readonly blobs: BlobSpace;
  private readonly system: System;
  private readonly lock: LayerLock;
  private readonly treeRows: TreeRows;
  private readonly queue: RowQueue;
  private readonly record: LayerRecord;
  private inoNext = 0;
  private inoEnd = 0;
  private blobNext = 0;
  private blobEnd = 0;
  /** How many blob rows `reserveBlobs` writes the next time. */
  private blobsReserved = 4;
  /** Blobs of this builder, finished or not. */
  private readonly ownBlobs = new Set<BlobId>();
  /** Blobs whose files may exist, including aborted ones. */
  private readonly begunBlobs = new Set<BlobId>();
  private readonly openBlobs = new Set<OwnBlob>();
  /** Those of `openBlobs` that are complete and wait to be sealed. */
  private readonly unsealed = new Set<OwnBlob>();
  private readonly queuedContent: ContentQueue;
  private packed: BlobWriter | undefined;
  private isDone = false;

  constructor({ tables, blobs, system, layout, rows }: StoreParts, options: LayerBuilderOptions) {
    this.tables = tables;
    this.blobs = blobs;
    this.system = system;
    this.name = options.name;
    this.source = options.source;
    this.treeRows = rows;
    this.queue = new RowQueue(tables);
    this.queuedContent = new ContentQueue(({ hash, sizeBytes, place }) => {
      this.queue.add(() => tables.contents.put(hash, sizeBytes, { ...place, sizeBytes }));
    });
    this.assertNameFree();
    // The lock is taken before the layer's row is written, so that gc never finds the row of a living builder unlocked.
    this.layer = tables.transaction(() => tables.allocate('nextLayer')) as LayerId;
    this.lock = LayerLock.take(system, layout.journalPath(this.layer));
    this.reserveInodes();
    this.base = options.base;
    this.root = options.base?.info.root ?? this.newIno();
    this.record = {
      state: 'building',
      parent: options.base?.info.layer ?? 0,
      root: this.root,
      activeBlob: 0,
      inoNext: 0,
      inoEnd: 0,
      generation: 0,
      appliedSequence: 0,
      depth: options.base === undefined ? 0 : this.depthOver(options.base.info.layer),
      created: system.clock.now(),
      unsealedBlobs: [],
    };
    tables.transaction(() => {
      tables.allocate('builders');
      tables.layers.put(this.layer, this.record);
    });
  }

  private depthOver(layer: LayerId): number {
    return (this.tables.layers.get(layer)?.depth ?? 0) + 1;
  }

  /** The layer's place above the base, which may have been flattened meanwhile. ENOENT if the base was dropped. */
  private place(): Pick<LayerRecord, 'parent' | 'depth'> {
    const { base } = this;
    if (base === undefined) return this.record;
    const parent = this.treeRows.frozenTop(base.info, 'import');
    return { parent, depth: this.depthOver(parent) };
  }

  private assertNameFree(): void {
    if (this.tables.trees.get(this.name) !== undefined) {
      throw new FsError('EEXIST', { syscall: 'import', path: this.name });
    }
  }

  private reserveInodes(): void {
    this.inoNext = this.tables.transaction(() => this.tables.allocate('nextIno', INODE_RANGE));
    this.inoEnd = this.inoNext + INODE_RANGE;
  }

  newIno(): Ino {
    if (this.inoNext >= this.inoEnd) this.reserveInodes();
    return this.inoNext++ as Ino;
  }

  // Rows.

  putInode(ino: Ino, record: InodeRecord): void {
    this.queue.add(() => this.tables.inodes.put(this.layer, ino, record), record.target.length);
    // An inode number that a union gave out means nothing without the union. So a row of `origins` keeps the
    // component's inode that the number stands for.
    const derived = this.base?.derived;
    const origin = derived?.mayHave(ino) === true ? derived.origin(ino) : undefined;
    if (derived !== undefined && origin !== undefined)
      this.queue.add(() => this.tables.origins.put(derived.id, ino, origin));
  }

  putDentry(directory: Ino, name: Name, ino: Ino, kind: number): void {
    this.queue.add(() => this.tables.dentries.put(this.layer, directory, name, { ino, kind }));
  }

  putXattrs(ino: Ino, xattrs: ReadonlyMap<string, Buffer>): void {
    let bytes = 0;
    for (const [name, value] of xattrs) bytes += name.length + value.length;
    this.queue.add(() => this.tables.xattrs.put(this.layer, ino, xattrs), bytes);
  }

  /** Adds an extended attribute to an inode of this layer. */
  addXattr(ino: Ino, name: string, value: Buffer): void {
    this.queue.add(() => {
      const { layer, tables } = this;
      tables.xattrs.put(layer, ino, new Map(tables.xattrs.get(layer, ino)).set(name, value));
    });
  }

  /** The record of an inode of this layer, as it was put. */
  recordOf(ino: Ino): InodeRecord {
    this.queue.flush();
    return this.stored(ino);
  }

  private stored(ino: Ino): InodeRecord {
    const record = this.tables.inodes.get(this.layer, ino);
    assert(record !== undefined, 'the inode was put');
    return record;
  }

  /** Changes fields of the record of an inode of this layer. */
  changeInode(ino: Ino, fields: Partial<InodeRecord>): void {
    this.queue.add(() => this.tables.inodes.put(this.layer, ino, { ...this.stored(ino), ...fields }));
  }

  /** Removes everything that was put for an inode of this layer, except its names. */
  takeBack(ino: Ino): void {
    this.queue.add(() => {
      const { layer, tables } = this;
      tables.inodes.remove(layer, ino);
      tables.xattrs.remove(layer, ino);
      tables.extents.removeAll(layer, ino);
    });
  }

  /** Puts the whole map of a file: its runs in order, with physically contiguous ones merged. */
  putRuns(ino: Ino, runs: readonly Run[]): void {
    for (const { chunk, runs: own } of runsByChunk(runs))
      this.queue.add(() => this.tables.extents.putChunk(this.layer, ino, chunk, own));
  }

  // Content.

  /** The place of content with this hash (format.md, content) and size; undefined if it is not stored yet. */
  findContent(hash: Buffer, sizeBytes: number): ContentPlace | undefined {
    const queued = this.queuedContent.find(hash, sizeBytes);
    if (queued !== undefined) return queued;
    const stored = this.tables.contents.get(hash, sizeBytes);
    if (stored === undefined) return undefined;
    const isTrusted =
      this.ownBlobs.has(stored.blob) || this.tables.blobs.get(stored.blob)?.state === 'sealed';
    // The cast: the row has the block at which the content starts.
    return isTrusted ? { blob: stored.blob, physical: stored.physical as BlockIndex } : undefined;
  }

  /**
   * Reads `length` bytes, from `position` in the content at `place` on. DamagedBlobError (EIO) if these bytes do not
   * match their checksums.
   */
  readContent(place: ContentPlace, position: number, target: Uint8Array, length: number): void {
    this.blobs.read(place.blob, place.physical * BLOCK_SIZE + position, target, 0, length);
  }

  /** Remembers where this build stored content, for later files with the same content. */
  rememberContent(hash: Buffer, sizeBytes: number, place: ContentPlace): void {
    assert(this.ownBlobs.has(place.blob), 'remembered content lies in a blob of this build');
    this.queuedContent.add({ hash, sizeBytes, place });
  }

  /** Stores `lengthBytes` bytes at a block boundary of the current packed blob. */
  storePacked(bytes: Uint8Array, lengthBytes: number): ContentPlace {
    const writer = this.packedFor(lengthBytes);
    return { blob: writer.id, physical: writer.append(bytes, lengthBytes) };
  }

  private packedFor(lengthBytes: number): BlobWriter {
    if (this.packed !== undefined && this.packed.lengthBytes + lengthBytes <= PACKED_BYTES_MAX)
      return this.packed;
    this.closePacked();
    this.packed = BlobWriter.create(this.blobs, this.newBlob());
    return this.packed;
  }

  private closePacked(): void {
    const { packed } = this;
    if (packed === undefined) return;
    const lengthBytes = packed.finish();
    this.packed = undefined;
    this.sealed(packed.id, 'packed', lengthBytes);
  }

  /** A blob for one large file: offset 0 of the blob is offset 0 of the file. */
  createOwn(): OwnBlob {
    const own = new OwnBlob(this.blobs, this.system, this.newBlob(), {
      completed: () => this.unsealed.add(own),
      aborted: () => {
        this.openBlobs.delete(own);
        this.unsealed.delete(own);
        this.forget(own.id);
      },
    });
    this.openBlobs.add(own);
    return own;
  }

  /**
   * True when the blobs that wait to be sealed have reached a limit, by number or by bytes: the caller should call
   * `sealOwn`.
   */
  get isSealingDue(): boolean {
    if (this.unsealed.size >= UNSEALED_MAX) return true;
    let bytes = 0;
    for (const own of this.unsealed) bytes += own.lengthBytes;
    return bytes >= UNSEALED_BYTES_MAX;
  }

  /** Does most of the work of `finish` in pieces, and lets other work of the process run in between. */
  async settle(): Promise<void> {
    await this.sealOwn();
    while (this.queuedContent.drain(ROWS_AT_ONCE)) await yieldToEventLoop();
  }

  /**
   * Seals the blobs of large files that are complete. `finish` also seals those that are left, but blocks this thread
   * until the disk has their data.
   */
  async sealOwn(): Promise<void> {
    const batch = [...this.unsealed];
    this.unsealed.clear();
    await OwnBlob.syncAll(batch);
    this.sealBatch(batch);
  }

  private sealBatch(batch: readonly OwnBlob[]): void {
    OwnBlob.sealAll(batch);
    for (const own of batch) {
      this.openBlobs.delete(own);
      this.sealed(own.id, 'own', this.blobs.lengthBytes(own.id));
    }
  }

  /**
   * Returns the id of a new blob. The blob's row is durable before its file exists, so that gc finds every file after a
   * crash.
   */
  private newBlob(): BlobId {
    if (this.blobNext >= this.blobEnd) this.reserveBlobs();
    const id = this.blobNext++ as BlobId;
    this.ownBlobs.add(id);
    this.begunBlobs.add(id);
    return id;
  }

  /**
   * Writes rows for several blobs, twice as many each time, because a durable transaction takes as long as storing a
   * small file.
   */
  private reserveBlobs(): void {
    const count = this.blobsReserved;
    this.blobsReserved = Math.min(2 * count, BLOB_RANGE_MAX);
    this.blobNext = this.tables.transaction(() => {
      const first = this.tables.allocate('nextBlob', count);
      for (let id = first; id < first + count; id++) this.putBlob(id as BlobId, 'packed', 'building', 0);
      return first;
    });
    this.blobEnd = this.blobNext + count;
  }

  private dropReserved(): void {
    for (let id = this.blobNext; id < this.blobEnd; id++) {
      this.queue.add(() => this.tables.blobs.remove(id as BlobId));
    }
    this.blobNext = this.blobEnd;
  }

  private putBlob(id: BlobId, kind: BlobKind, state: 'building' | 'sealed', lengthBytes: number): void {
    this.tables.blobs.put(id, {
      kind,
      state,
      layer: this.layer,
      lengthBlocks: blocksFor(lengthBytes),
      lengthBytes,
      created: this.record.created,
    });
  }

  private sealed(id: BlobId, kind: BlobKind, lengthBytes: number): void {
    this.queue.add(() => this.putBlob(id, kind, 'sealed', lengthBytes));
  }

  private forget(id: BlobId): void {
    this.ownBlobs.delete(id);
    this.queue.add(() => this.tables.blobs.remove(id));
  }

  // The end.

  /**
   * Freezes the layer and writes the snapshot; `imported` identifies the host directory that was imported. EEXIST if
   * the name was taken meanwhile; then call `abort`.
   */
  finish(imported?: HostIdentity): TreeRecord {
    assert(!this.isDone, 'a layer is finished once');
    this.sealBatch([...this.unsealed]);
    assert(this.openBlobs.size === 0, 'every own blob was finished or aborted');
    this.closePacked();
    this.dropReserved();
    while (this.queuedContent.drain(ROWS_AT_ONCE));
    this.queue.flush();
    const tree = this.tables.transaction(() => {
      this.assertNameFree();
      const now = this.system.clock.now();
      this.tables.layers.put(this.layer, { ...this.record, ...this.place(), state: 'frozen', frozenAt: now });
      const made: TreeRecord = {
        kind: 'snapshot',
        layer: this.layer,
        root: this.root,
        created: now,
        source: this.source,
        id: this.tables.allocate('nextTree'),
        imported,
      };
      this.tables.trees.put(this.name, made);
      return made;
    });
    this.isDone = true;
    this.lock.release();
    return tree;
  }

  /** Removes this build's content rows, whose blobs are about to be removed. */
  private removeContent(): void {
    const { tables, ownBlobs } = this;
    const dead: { readonly hash: Buffer; readonly sizeBytes: number }[] = [];
    for (const { hash, sizeBytes, content } of tables.contents.entries()) {
      if (ownBlobs.has(content.blob)) dead.push({ hash: Buffer.from(hash), sizeBytes });
    }
    for (const { hash, sizeBytes } of dead) this.queue.add(() => tables.contents.remove(hash, sizeBytes));
    this.queue.flush();
  }

  /** Removes every row and blob of this build. A no-op after `finish`. */
  abort(): void {
    if (this.isDone) return;
    this.isDone = true;
    try {
      this.queue.discard();
      this.packed?.abort();
      for (const own of this.openBlobs) own.abort();
      this.queue.discard();
      this.dropReserved();
      this.removeContent();
      this.tables.removeLayerRows(this.layer);
      for (const id of this.begunBlobs) if (this.blobs.exists(id)) this.blobs.unlink(id);
      this.tables.transaction(() => {
        for (const id of this.begunBlobs) this.tables.blobs.remove(id);
        this.tables.layers.remove(this.layer);
      });
    } finally {
      // If the removal failed, the layer is still 'building', and gc removes it once its lock is free.
      this.lock.release();
    }
  }
}
