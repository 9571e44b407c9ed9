/** All tables of a store, and the transactions that change them. */
import {
  assert,
  type BlobId,
  type Clock,
  FsError,
  type LayerId,
  ManualClock,
  type PlainFsError,
  StoreError,
  sleepBlocking,
} from '../base/index.ts';
import type { System } from '../sys/index.ts';
import { type BlobRecord, blobFormat } from './blob-format.ts';
import type { CounterName } from './counter-format.ts';
import { type DroppedRecord, droppedFormat } from './dropped-format.ts';
import { type ExternalRecord, externalFormat } from './external-format.ts';
import { bytes } from './fields.ts';
import { KEY_BYTES_MAX, TABLE } from './key-format.ts';
import { DentryTable, ExtentTable, InodeTable, InoTable, layerRange, OrphanTable } from './layer-tables.ts';
import { Rows, type TableFigures, type TablesOptions } from './rows.ts';
import { ContentTable, CounterTable, HostTable, LayerTable, NumberTable, TreeTable } from './store-tables.ts';
import { type Xattrs, xattrsFormat } from './xattr-format.ts';

/** How long a slice may change rows, in milliseconds. The sync afterwards takes about as long again. */
const SLICE_MS = 5;
/** The pause after a slice, in which another process can take the lock. */
const PAUSE_MS = 0.2;
/** Rows removed between two looks at the clock. */
const ROWS_AT_ONCE = 256;

/** The range of all keys. The first byte of a key is the number of its table. */
const ALL_ROWS = { start: Buffer.from([0]), end: Buffer.from([0xff]) };

/** The tables with rows of layers, in the order in which `removeLayerRows` removes their rows. */
const LAYER_TABLES = [
  TABLE.extent,
  TABLE.xattr,
  TABLE.orphan,
  TABLE.dentry,
  TABLE.inode,
  TABLE.origin,
] as const;

/**
 * A read sees the last commit of this process, and commits of other processes after `renew` at the latest. Changes need
 * `transaction`. Every read checks the row: ERR_STORE_CORRUPT names a damaged row.
 */
export class MetaTables {
  readonly layers: LayerTable;
  readonly trees: TreeTable;
  readonly inodes: InodeTable;
  readonly dentries: DentryTable;
  readonly extents: ExtentTable;
  readonly xattrs: InoTable<Xattrs, ReadonlyMap<string, Uint8Array>>;
  readonly blobs: NumberTable<BlobId, BlobRecord>;
  readonly contents: ContentTable;
  readonly orphans: OrphanTable;
  readonly counters: CounterTable;
  readonly dropped: NumberTable<BlobId, DroppedRecord>;
  readonly externals: NumberTable<BlobId, ExternalRecord>;
  /**
   * Origins of inodes of derived layers: bytes by which such a layer finds an inode again. Only that layer can read
   * them.
   */
  readonly origins: InoTable<Buffer, Uint8Array>;
  readonly hosts: HostTable;
  /** The tables that say where a blob's bytes are, for blobs whose bytes are not in the store. */
  readonly elsewhere: readonly Pick<NumberTable<BlobId, object>, 'get' | 'remove' | 'entries'>[];
  private readonly byNumber: Readonly<Record<number, { verify(key: Buffer): void }>>;
  /** The error that every change throws while changes are not allowed; undefined while they are allowed. */
  readOnly: PlainFsError | undefined;
  private readonly rows: Rows;
  private readonly clock: Clock;

  private constructor(rows: Rows, clock: Clock) {
    this.rows = rows;
    this.clock = clock;
    this.layers = new LayerTable(rows);
    this.trees = new TreeTable(rows);
    this.inodes = new InodeTable(rows);
    this.dentries = new DentryTable(rows);
    this.extents = new ExtentTable(rows);
    this.xattrs = new InoTable(rows, TABLE.xattr, xattrsFormat);
    this.blobs = new NumberTable(rows, TABLE.blob, blobFormat);
    this.contents = new ContentTable(rows);
    this.orphans = new OrphanTable(rows);
    this.counters = new CounterTable(rows);
    this.dropped = new NumberTable(rows, TABLE.dropped, droppedFormat);
    this.externals = new NumberTable(rows, TABLE.external, externalFormat);
    this.elsewhere = [this.externals];
    this.origins = new InoTable(rows, TABLE.origin, bytes);
    this.hosts = new HostTable(rows);
    this.byNumber = {
      [TABLE.layer]: this.layers,
      [TABLE.tree]: this.trees,
      [TABLE.inode]: this.inodes,
      [TABLE.dentry]: this.dentries,
      [TABLE.extent]: this.extents,
      [TABLE.xattr]: this.xattrs,
      [TABLE.blob]: this.blobs,
      [TABLE.content]: this.contents,
      [TABLE.orphan]: this.orphans,
      [TABLE.counter]: this.counters,
      [TABLE.dropped]: this.dropped,
      [TABLE.external]: this.externals,
      [TABLE.origin]: this.origins,
      [TABLE.host]: this.hosts,
    };
  }

  /**
   * Opens the tables in an existing directory, and makes empty ones if there are none. The clock measures slices. All
   * processes must use the same kind of system, which locks the tables. Errors: ENOENT, ENOTDIR, EACCES of the
   * directory; ERR_STORE_CORRUPT; ERR_STORE_VERSION; ETIMEDOUT.
   */
  static open(
    directory: string,
    { clock = new ManualClock(), kind }: Partial<Pick<System, 'clock' | 'kind'>> = {},
    options: TablesOptions = {},
  ): MetaTables {
    return new MetaTables(Rows.open(directory, kind, options), clock);
  }

  /** Closes the tables. May be called twice. After it, all other calls fail with ERR_STORE_CLOSED. */
  close(): Promise<void> {
    return this.rows.close();
  }

  /**
   * Runs `change` in one transaction, synchronously. The transaction is durable when this returns. When `change`
   * throws, or the commit fails (ENOSPC, EIO), the tables stay as they were. A nested call belongs to the outer
   * transaction: do not swallow its error, which must reach the outer one.
   */
  transaction<T>(change: () => T): T {
    this.requireWritable();
    return this.rows.transaction(change);
  }

  /** Throws the error `readOnly`, if there is one: EROFS, or ENOSPC and EDQUOT if a full disk is the reason. */
  requireWritable(): void {
    if (this.readOnly !== undefined) throw FsError.fromPlain(this.readOnly);
  }

  /**
   * Runs `change` in a short transaction, one of several that long work is divided into. `change` should end when
   * `isSpent` returns true, because all other writers of the store wait until it ends (20 ms at most, including the
   * sync).
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
    // The lock is not fair: without a pause, the next slice would take it before a waiting process has woken up.
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
    assert(Number.isInteger(count) && count > 0, `cannot take ${count} numbers`);
    assert(this.isInTransaction, 'numbers are taken inside a transaction');
    const first = this.counters.get(counter);
    assert(first + count <= Number.MAX_SAFE_INTEGER, `counter ${counter} has numbers left`);
    this.counters.put(counter, first + count);
    return first;
  }

  /** Removes all rows of a layer except its own row in `layers`, in slices. */
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

  /** Checks the checksum and the content of every row. Reports damaged rows. Returns the number of all rows. */
  checkRows(visitDamaged: (problem: string) => void): number {
    let count = 0;
    for (const key of this.rows.scanKeys(ALL_ROWS)) {
      count++;
      try {
        if (key.length > KEY_BYTES_MAX) throw this.rows.badKey(key);
        this.rows.at(key[0]!).raw(key.subarray(1));
        if (this.rows.find()) this.byNumber[key[0]!]?.verify(key);
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== 'ERR_STORE_CORRUPT') throw error;
        visitDamaged(error.message);
      }
    }
    return count;
  }

  figures(): TableFigures {
    return this.rows.figures();
  }
}
