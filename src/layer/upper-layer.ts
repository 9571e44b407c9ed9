/**
 * The writable layer of an open tree: its journal, its active blob, and the inode numbers reserved for it. The process
 * that holds the lock on the journal owns the layer.
 */
import { BLOCK_SIZE, type BlobId, type Ino, isFsError, type LayerId } from '../base/index.ts';
import { ActiveBlob, type BlobSpace } from '../blob/index.ts';
import { InoSet } from '../lower/index.ts';
import { Journal, type LayerRecord, type MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';

/** How many inode numbers a layer that has run out of them takes from the store, in one durable transaction. */
const INODE_RANGE = 65_536;

export interface UpperParts {
  readonly system: System;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  /** Path of the journal file. */
  readonly journalPath: string;
  /** The directory of the journal: the first sync makes its entries durable. */
  readonly journalDirectory: string;
}

export class UpperLayer {
  readonly id: LayerId;
  record: LayerRecord;
  readonly journal: Journal;
  /** Inodes that have a row in the tables under this layer. */
  readonly stored: InoSet;
  /**
   * The next inode number when the layer was opened. This layer gives out the numbers from here on, so no lower layer
   * has them.
   */
  readonly firstIno: Ino;
  /** True when the last owner did not close the layer. */
  wasUnclean = false;
  /** False once the layer was closed, abandoned or retired. It may then have another owner. */
  isOpen = true;
  private readonly parts: UpperParts;
  private active: ActiveBlob | undefined;
  private isNameDurable = false;

  constructor(parts: UpperParts, id: LayerId, record: LayerRecord) {
    this.parts = parts;
    this.id = id;
    this.journal = Journal.open(parts.system, parts.journalPath, id);
    try {
      // Read the tables only now: until the journal was locked, another owner could still store rows.
      parts.tables.renew();
      // A copy, since the next inode number is counted up in place.
      this.record = { ...(parts.tables.layers.get(id) ?? record) };
      this.firstIno = this.record.inoNext as Ino;
      this.stored = new InoSet(parts.tables.inodes.inos(id));
    } catch (error) {
      this.journal.close();
      throw error;
    }
  }

  get activeId(): BlobId {
    return this.record.activeBlob as BlobId;
  }

  /**
   * The active blob. The first call creates it, or, if the layer has written before, opens it and rebuilds its block
   * counts.
   */
  activeBlob(): ActiveBlob {
    this.active ??= this.openActive();
    return this.active;
  }

  private openActive(): ActiveBlob {
    const { tables, blobs } = this.parts;
    // Without rows of the layer the blob should have no file yet. After an unclean end it may have one, which recovery
    // has synced.
    if (this.stored.size === 0 && !this.wasUnclean) {
      const created = this.tryCreateActive();
      if (created !== undefined) return created;
      blobs.syncFound(this.activeId);
    } else if (!blobs.exists(this.activeId)) {
      return ActiveBlob.create(blobs, this.activeId);
    }
    // From here on durable blocks may be overwritten. A power cut must then find a journal that was begun: otherwise
    // recovery would take the layer for a closed one, and not zero the tails of files.
    this.journal.sync();
    return ActiveBlob.open(blobs, this.activeId, this.ownRuns(tables));
  }

  /** Undefined when the file exists, because an owner died before the tables named anything in it. */
  private tryCreateActive(): ActiveBlob | undefined {
    try {
      return ActiveBlob.create(this.parts.blobs, this.activeId);
    } catch (error) {
      if (isFsError(error, 'EEXIST')) return undefined;
      throw error;
    }
  }

  private *ownRuns(tables: MetaTables): Generator<{ physical: number; count: number }> {
    for (const { runs } of tables.extents.forLayer(this.id)) {
      for (const run of runs) if (run.blob === this.activeId) yield run;
    }
  }

  /**
   * Stores the layer's row and returns it. Parent and depth stay as stored: flattening may have put another layer below
   * this one.
   */
  putRecord(record: LayerRecord): LayerRecord {
    const { layers } = this.parts.tables;
    const { parent, depth } = layers.get(this.id) ?? record;
    const placed = { ...record, parent, depth };
    layers.put(this.id, placed);
    return placed;
  }

  /** A new inode number. Reserves another range in the store when this one is used up. */
  nextIno(): Ino {
    if (this.record.inoNext >= this.record.inoEnd) {
      const { tables } = this.parts;
      tables.transaction(() => {
        const first = tables.allocate('nextIno', INODE_RANGE);
        // The row has the end of the range; the journal says which numbers were used since.
        this.record = this.putRecord({ ...this.record, inoNext: first, inoEnd: first + INODE_RANGE });
      });
    }
    const ino = this.record.inoNext as Ino;
    this.record.inoNext = ino + 1;
    return ino;
  }

  /** Notes, during a replay, that a journal record used this number, so that it is not given out again. */
  noteIno(ino: Ino): void {
    if (ino >= this.record.inoNext && ino < this.record.inoEnd) this.record.inoNext = ino + 1;
  }

  /** Has the thread pool do most of the work that a commit mark would wait for; see `ActiveBlob.flush`. */
  flush(): Promise<void> | undefined {
    return this.active?.flush();
  }

  /**
   * Makes everything acknowledged so far durable: data first, then a commit mark in the journal, then the journal.
   * Afterwards freed blocks may be reused.
   */
  commitMark(): void {
    this.active?.sync();
    this.syncJournalName();
    this.active?.beforeMark();
    this.journal.mark();
    this.journal.sync();
    this.active?.durable();
  }

  /**
   * For recovery: makes durable what a dead owner left, including the names of its blob and journal. Recovery then
   * marks and syncs the journal, and a power cut after that must find both files.
   */
  syncFound(): void {
    const { blobs } = this.parts;
    if (blobs.exists(this.activeId)) blobs.syncFound(this.activeId);
    this.syncJournalName();
  }

  private syncJournalName(): void {
    if (this.isNameDurable) return;
    this.parts.system.syncDirectory(this.parts.journalDirectory);
    this.isNameDurable = true;
  }

  /** True when something was acknowledged that no commit mark covers. */
  get isUnmarked(): boolean {
    const { journal } = this;
    if (journal.lastSequence !== journal.lastMarkedSequence || journal.hasSyncFailed) return true;
    return this.active?.isDirty === true;
  }

  /**
   * Cuts the active blob after its last block in use and returns its length; undefined when the layer has no blob.
   * Leaves the blob open for `retire` to close: if the transaction that freezes the layer fails, writes to the layer go
   * on.
   */
  freezeActive(): { lengthBlocks: number; lengthBytes: number } | undefined {
    if (this.active === undefined && !this.parts.blobs.exists(this.activeId)) return undefined;
    const lengthBlocks = this.activeBlob().cutTail();
    return { lengthBlocks, lengthBytes: lengthBlocks * BLOCK_SIZE };
  }

  /** True when nothing was ever written to this layer, so the tree is exactly what the layers below show. */
  get isPristine(): boolean {
    return this.stored.size === 0 && this.journal.recordCount === 0 && this.active === undefined;
  }

  /** Closes a checkpointed layer: nothing is left to replay, and the next opener sees that the layer was closed. */
  close(): void {
    this.isOpen = false;
    this.active?.close();
    this.journal.closeClean();
  }

  /** Gives up the layer as it is: the next opener replays the journal. */
  abandon(): void {
    this.isOpen = false;
    this.active?.close();
    this.journal.close();
  }

  /** Closes a layer that was frozen or dropped, and removes its journal. */
  retire(): void {
    this.isOpen = false;
    this.active?.close();
    this.journal.remove();
  }
}
