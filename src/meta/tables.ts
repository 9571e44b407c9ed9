/** All tables of a store, and the transactions that change them. */
import {
  type BlobId,
  type Clock,
  type Ino,
  type LayerId,
  ManualClock,
  type Name,
  StoreError,
  sleepBlocking,
} from '../base/index.ts';
import type { System } from '../sys/index.ts';
import { type BlobRecord, decodeBlob, encodeBlob } from './blob-format.ts';
import type { CounterName } from './counter-format.ts';
import { HostTable, OriginTable } from './derived-tables.ts';
import { type DroppedRecord, decodeDropped, encodeDropped } from './dropped-format.ts';
import { decodeExternal, type ExternalRecord, encodeExternal } from './external-format.ts';
import { TABLE } from './key-format.ts';
import { decodeLayer, encodeLayer, type LayerRecord } from './layer-format.ts';
import {
  DentryTable,
  ExtentTable,
  InodeTable,
  inoOfKey,
  layerRange,
  nameOfKey,
  OrphanTable,
  XattrTable,
} from './layer-tables.ts';
import type { TableFigures } from './rows.ts';
import { Rows } from './rows.ts';
import { ContentTable, CounterTable, NumberTable, TreeTable } from './store-tables.ts';
import { checkTablesFile, checkTablesStructure } from './tables-file.ts';

/** One key that a layer holds. */
export type LayerKey =
  | { readonly kind: 'inode'; readonly ino: Ino }
  | { readonly kind: 'dentry'; readonly directory: Ino; readonly name: Name };

/** What the tables ask of a `System`: the clock measures slices, the kind says how they are locked. */
export type TablesHost = Partial<Pick<System, 'clock' | 'kind'>>;

export interface TablesOptions {
  /** Check every page first: LMDB ends the process when it meets a damaged one. */
  readonly checksTables?: boolean;
  /** How long to wait while others have the tables locked. Default: for ever. */
  readonly lockWaitMsMax?: number;
}

/** How long a slice may change rows, in milliseconds; to make them durable takes about as long again. */
const SLICE_MS = 5;
/** The pause after a slice, in which another process can take the lock. */
const PAUSE_MS = 0.2;
/** Rows removed between two looks at the clock. */
const ROWS_AT_ONCE = 256;

/** Every key there can be: the first byte is the number of a table. */
const ALL_ROWS = { start: Buffer.from([0]), end: Buffer.from([0xff]) };

/** Tables with rows of layers, in the order in which a layer's rows are removed. */
const LAYER_TABLES = [
  TABLE.extent,
  TABLE.xattr,
  TABLE.orphan,
  TABLE.dentry,
  TABLE.inode,
  TABLE.origin,
] as const;

/**
 * Reads may come at any time and see the last commit of this process; those of other processes are seen at the latest
 * after `renew`. Changes need `transaction`. Every read checks the row: ERR_STORE_CORRUPT names the one that
 * is damaged.
 */
export class MetaTables {
  readonly layers: NumberTable<LayerId, LayerRecord>;
  readonly trees: TreeTable;
  readonly inodes: InodeTable;
  readonly dentries: DentryTable;
  readonly extents: ExtentTable;
  readonly xattrs: XattrTable;
  readonly blobs: NumberTable<BlobId, BlobRecord>;
  readonly contents: ContentTable;
  readonly orphans: OrphanTable;
  readonly counters: CounterTable;
  readonly dropped: NumberTable<BlobId, DroppedRecord>;
  readonly externals: NumberTable<BlobId, ExternalRecord>;
  readonly origins: OriginTable;
  readonly hosts: HostTable;
  /** Those that say where the bytes of blobs are that the store does not have. */
  readonly elsewhere: readonly Pick<NumberTable<BlobId, object>, 'get' | 'remove' | 'entries'>[];
  private readonly rows: Rows;
  private readonly clock: Clock;

  private constructor(rows: Rows, clock: Clock) {
    this.rows = rows;
    this.clock = clock;
    this.layers = new NumberTable(rows, TABLE.layer, encodeLayer, decodeLayer);
    this.trees = new TreeTable(rows);
    this.inodes = new InodeTable(rows);
    this.dentries = new DentryTable(rows);
    this.extents = new ExtentTable(rows);
    this.xattrs = new XattrTable(rows);
    this.blobs = new NumberTable(rows, TABLE.blob, encodeBlob, decodeBlob);
    this.contents = new ContentTable(rows);
    this.orphans = new OrphanTable(rows);
    this.counters = new CounterTable(rows);
    this.dropped = new NumberTable(rows, TABLE.dropped, encodeDropped, decodeDropped);
    this.externals = new NumberTable(rows, TABLE.external, encodeExternal, decodeExternal);
    this.elsewhere = [this.externals];
    this.origins = new OriginTable(rows);
    this.hosts = new HostTable(rows);
  }

  /**
   * Opens the tables in a directory that exists; empty tables are made where there are none. All processes lock them by
   * the same kind of system. Errors: ENOENT, ENOTDIR, EACCES of the directory; ERR_STORE_CORRUPT; ERR_STORE_VERSION;
   * ETIMEDOUT.
   */
  static open(directory: string, host: TablesHost = {}, options: TablesOptions = {}): MetaTables {
    const { clock = new ManualClock(), kind } = host;
    const { checksTables = false, lockWaitMsMax } = options;
    const check = checksTables ? checkTablesStructure : checkTablesFile;
    return new MetaTables(Rows.open(directory, { kind, lockWaitMsMax }, check), clock);
  }

  /** May be called twice. Afterwards everything fails with ERR_STORE_CLOSED. */
  close(): Promise<void> {
    return this.rows.close();
  }

  /**
   * Runs `change` in one transaction, synchronously. It is durable when this returns. When `change` throws, or the
   * commit fails (ENOSPC, EIO), nothing of it happened. A call inside a transaction belongs to that one, and an error
   * thrown out of it must reach the outer one: swallowing it breaks an invariant.
   */
  transaction<T>(change: () => T): T {
    return this.rows.transaction(change);
  }

  /**
   * A transaction that is one of several: `isSpent` says when it has lasted long enough, since it keeps all other
   * writers of the store waiting (20 ms at most, its sync included).
   */
  slice<T>(change: (isSpent: () => boolean) => T): T {
    let wasSpent = false;
    const result = this.transaction(() => {
      const end = this.clock.elapsedMs() + SLICE_MS;
      return change(() => {
        wasSpent = this.clock.elapsedMs() >= end;
        return wasSpent;
      });
    });
    // The lock is not fair: a waiting process is still being woken up when the next slice would take it again.
    if (wasSpent) sleepBlocking(PAUSE_MS);
    return result;
  }

  get isInTransaction(): boolean {
    return this.rows.isInTransaction;
  }

  /** Lets the next read see what other processes have committed. */
  renew(): void {
    this.rows.renew();
  }

  /** Takes `count` numbers of a counter; returns the first. Only inside a transaction. */
  allocate(counter: CounterName, count = 1): number {
    return this.counters.allocate(counter, count);
  }

  /** The inode numbers and the names that a layer holds rows for, tombstones and whiteouts too, to build filters. */
  *keysOf(layer: LayerId): Generator<LayerKey> {
    for (const key of this.rows.scanKeys(layerRange(TABLE.inode, layer))) {
      yield { kind: 'inode', ino: inoOfKey(key) };
    }
    for (const key of this.rows.scanKeys(layerRange(TABLE.dentry, layer))) {
      yield { kind: 'dentry', directory: inoOfKey(key), name: nameOfKey(key) };
    }
  }

  /** Removes all rows of inodes, dentries, extents, xattrs and orphans of a layer, in slices; its own row stays. */
  removeLayerRows(layer: LayerId): void {
    for (const table of LAYER_TABLES) {
      const range = layerRange(table, layer);
      let isEmpty = false;
      while (!isEmpty) {
        this.slice((isSpent) => {
          do isEmpty = this.rows.removeRange(range, ROWS_AT_ONCE) < ROWS_AT_ONCE;
          while (!isEmpty && !isSpent());
        });
      }
    }
  }

  /** Compares every row with its checksum, tells of each that is damaged, and returns how many rows there are. */
  checkRows(visitDamaged: (problem: string) => void): number {
    let count = 0;
    for (const key of this.rows.scanKeys(ALL_ROWS)) {
      count++;
      try {
        this.rows.at(key[0]!).raw(key.subarray(1));
        this.rows.find();
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== 'ERR_STORE_CORRUPT') throw error;
        visitDamaged(error.message);
      }
    }
    return count;
  }

  /** Figures of the tables' file. */
  figures(): TableFigures {
    return this.rows.figures();
  }
}
