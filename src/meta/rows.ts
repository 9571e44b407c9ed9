/**
 * Rows of the LMDB database: raw keys and payloads, with what every table needs done the same way. A stored value is
 * the payload and 8 bytes of checksum64 over key and payload: LMDB itself returns flipped bits as if they were data,
 * and a row that was moved to another key is damage as well. Errors of LMDB become FsError (disk full, limits) or
 * StoreError (damage, closed).
 *
 * Everything here is synchronous. Reading allocates nothing: a row is copied once, behind its key, into a buffer that
 * is used again, where its checksum is computed and from where it is decoded.
 */
import { statfsSync } from 'node:fs';
import type { RootDatabase } from 'lmdb';
import { open } from 'lmdb';
import {
  AssertionError,
  assert,
  ByteReader,
  ByteWriter,
  CHECKSUM_BYTES,
  codeOfErrno,
  DecodeError,
  FsError,
  isChecksum,
  StoreError,
  writeChecksum,
} from '../base/index.ts';
import { EIO, type System } from '../sys/index.ts';
import { describeKey, KEY_BYTES_MAX, KeyWriter } from './key-format.ts';
import { checkTablesFile } from './tables-file.ts';
import { TablesLock } from './tables-lock.ts';

/** Processes (and their worker threads) that may read at one time; LMDB's own default is 126. */
const READERS_MAX = 1024;
/** The way out when the bytes on disk are not what they should be. */
const CORRUPT_HINT = 'Run fsck to see what is affected';

/** Error numbers of LMDB (lmdb.h) that have a meaning for the caller. */
const MDB_MAP_FULL = -30792;
const MDB_READERS_FULL = -30790;
const MDB_TXN_FULL = -30788;
const MDB_VERSION_MISMATCH = -30794;
const DAMAGE = new Set([-30797, -30796, -30793]); // PAGE_NOTFOUND, CORRUPTED, INVALID

const FREE_BYTES_MIN = 64 * 4096;

/** LMDB says EIO for a write that the disk had room for only in part; what the disk has left tells which it was. */
function isDiskFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize < FREE_BYTES_MIN;
  } catch {
    return false;
  }
}

/** Turns what `lmdb` throws into this project's errors; anything that is not LMDB's own passes unchanged. */
export function translateLmdbError(error: unknown, operation: string, path: string): unknown {
  if (!(error instanceof Error) || error instanceof FsError || error instanceof StoreError) return error;
  if (error instanceof AssertionError || error instanceof DecodeError) return error;
  if (/database has been closed|closed database/.test(error.message)) {
    return new StoreError('ERR_STORE_CLOSED', operation, path, 'the store is closed', 'Open it again');
  }
  const code = 'code' in error ? error.code : undefined;
  if (typeof code !== 'number') return error;
  if (code === EIO && isDiskFull(path))
    return new FsError('ENOSPC', { path, note: `${operation}: the disk is full` });
  if (code > 0) return new FsError(codeOfErrno(code), { path, note: `${operation}: ${error.message}` });
  if (code === MDB_MAP_FULL)
    return new FsError('ENOSPC', { path, note: `${operation}: the tables are full` });
  if (code === MDB_READERS_FULL)
    return new FsError('ENFILE', {
      path,
      note: `${operation}: more than ${READERS_MAX} processes read the tables at once`,
    });
  if (code === MDB_TXN_FULL)
    return new FsError('EFBIG', { path, note: `${operation}: too many changes in one transaction` });
  if (code === MDB_VERSION_MISMATCH)
    return new StoreError(
      'ERR_STORE_VERSION',
      operation,
      path,
      `the tables have another file format (${error.message})`,
      'Use the version of Ramet that made the store',
    );
  if (DAMAGE.has(code))
    return new StoreError(
      'ERR_STORE_CORRUPT',
      operation,
      path,
      `the tables are damaged (${error.message})`,
      CORRUPT_HINT,
    );
  return new FsError('EIO', { path, note: `${operation}: ${error.message} (LMDB ${code})` });
}

/** Longest row for which a view is kept ready. */
const VIEW_BYTES_MAX = 1024;
const ROW_BYTES = KEY_BYTES_MAX + 4096;

/** The bounds of a scan; both are copies that nobody changes. */
export interface KeyRange {
  readonly start: Buffer;
  /** Exclusive. */
  readonly end: Buffer;
}

/** How the tables are locked. */
export interface RowsLocking {
  readonly kind?: System['kind'] | undefined;
  /** How long to wait for others. Default: for ever. */
  readonly lockWaitMsMax?: number | undefined;
}

export class Rows {
  readonly path: string;
  private readonly database: RootDatabase<Buffer, Buffer>;
  private readonly lock: TablesLock;
  private readonly key: KeyWriter = new KeyWriter(Buffer.alloc(ROW_BYTES));
  private readonly writer = new ByteWriter(ROW_BYTES);
  /** Views, by length, of the buffer in which lmdb returns a value, and that buffer itself. */
  private valueViews: (Uint8Array | undefined)[] = [];
  private valueBuffer: Buffer | undefined;
  /** Views, by length, of the buffer in which a key and its value are joined. */
  private readonly joinedViews: (Uint8Array | undefined)[] = [];
  private hasNestedFailure = false;
  private isClosed = false;
  private isWriting = false;

  /** Where the last row that was read lies: its payload is `bytes[payloadStart..payloadEnd]`. */
  bytes: Buffer;
  payloadStart = 0;
  payloadEnd = 0;

  private constructor(path: string, database: RootDatabase<Buffer, Buffer>, lock: TablesLock) {
    this.path = path;
    this.database = database;
    this.lock = lock;
    this.bytes = this.key.buffer;
  }

  /**
   * Opens (or makes, where the directory holds none) the database in a directory, once `check` finds nothing wrong.
   * Errors: ENOENT or ENOTDIR when the directory is missing, ERR_STORE_CORRUPT, ERR_STORE_VERSION, ENFILE.
   */
  static open(
    path: string,
    { kind, lockWaitMsMax }: RowsLocking = {},
    check: TablesCheck = checkTablesFile,
  ): Rows {
    const isSound = looksSound(path, check);
    const lock = TablesLock.open(path, kind, lockWaitMsMax);
    try {
      lock.acquire();
      try {
        // What looks damaged may have been changed while it was looked at.
        if (!isSound) check(path);
        return new Rows(path, openDatabase(path), lock);
      } finally {
        lock.release();
      }
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    assert(!this.isWriting, 'tables are not closed inside a transaction');
    this.isClosed = true;
    const isLocked = this.lock.acquireIfPossible();
    try {
      await this.database.close();
    } finally {
      if (isLocked) this.lock.release();
      this.lock.close();
    }
  }

  /** Starts a key. What is then asked of this object concerns that key. */
  at(table: number): KeyWriter {
    return this.key.start(table);
  }

  /** Looks the key up. True when there is a row; its payload is then in `bytes`, until the next call. */
  find(): boolean {
    if (this.isClosed) throw this.closedError('read');
    let value: Buffer | undefined;
    try {
      value = this.database.getBinaryFast(this.key.view());
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
    if (value === undefined) return false;
    this.join(this.key.length, this.viewOf(value));
    return true;
  }

  /** Whether the key has a row; the row is not looked at. */
  has(): boolean {
    if (this.isClosed) throw this.closedError('read');
    try {
      return this.database.getBinaryFast(this.key.view()) !== undefined;
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
  }

  /** A reader of the payload that was found. */
  reader(): ByteReader {
    return new ByteReader(this.bytes, this.payloadStart, this.payloadEnd);
  }

  /**
   * A view of the value in lmdb's own buffer. That buffer says a `length` of its own that its typed-array methods do
   * not know of, so that only `subarray` with both bounds may be used on it.
   */
  private viewOf(value: Buffer): Uint8Array {
    const { length } = value;
    if (length > VIEW_BYTES_MAX) return value.subarray(0, length);
    if (value !== this.valueBuffer) {
      this.valueBuffer = value;
      this.valueViews = [];
    }
    let view = this.valueViews[length];
    if (view === undefined) {
      view = value.subarray(0, length);
      this.valueViews[length] = view;
    }
    return view;
  }

  /** Puts a stored value behind the key, checks it, and makes it the row at hand. */
  private join(keyLength: number, value: Uint8Array): void {
    const checkedEnd = keyLength + value.length - CHECKSUM_BYTES;
    this.payloadStart = keyLength;
    this.payloadEnd = checkedEnd;
    this.bytes = this.key.buffer;
    if (checkedEnd < keyLength) throw this.damaged('it is too short');
    let checked: Uint8Array | undefined;
    if (value.length <= VIEW_BYTES_MAX) {
      this.bytes.set(value, keyLength);
      checked = this.joinedViews[checkedEnd];
      if (checked === undefined) {
        checked = this.bytes.subarray(0, checkedEnd);
        this.joinedViews[checkedEnd] = checked;
      }
    } else {
      this.bytes = Buffer.concat([this.key.buffer.subarray(0, keyLength), value]);
      checked = this.bytes.subarray(0, checkedEnd);
    }
    if (!isChecksum(this.bytes, checkedEnd, checked)) throw this.damaged('its checksum is wrong');
  }

  /** The error for the row at hand. */
  private damaged(problem: string): StoreError {
    const key = Buffer.from(this.bytes.subarray(0, this.payloadStart));
    const what = `the ${describeKey(key)} is damaged: ${problem}`;
    return new StoreError('ERR_STORE_CORRUPT', 'read tables', this.path, what, CORRUPT_HINT);
  }

  private closedError(operation: string): StoreError {
    return new StoreError('ERR_STORE_CLOSED', operation, this.path, 'the store is closed', 'Open it again');
  }

  /** Call with what a decoder threw: bytes with a right checksum that cannot be understood are damage as well. */
  undecodable(error: unknown): unknown {
    return error instanceof DecodeError ? this.damaged(error.message) : error;
  }

  /** Decodes the row that was found, the whole of it. */
  decode<T>(decoder: (reader: ByteReader) => T): T {
    const reader = this.reader();
    try {
      const record = decoder(reader);
      if (!reader.isAtEnd) throw new DecodeError(`${reader.end - reader.offset} bytes too many`);
      return record;
    } catch (error) {
      throw this.undecodable(error);
    }
  }

  /** A writer for the payload of the key; `put` stores what was written with it. */
  payload(): ByteWriter {
    return this.writer.reset().raw(this.key.view());
  }

  /** Stores the key with the payload. Only inside a transaction. */
  put(): void {
    assert(this.isWriting, 'tables are changed inside a transaction');
    const keyLength = this.key.length;
    const checked = this.writer.view();
    // u64 reserves the room; writeChecksum may only look at `checked` before that moves the buffer.
    this.writer.u64(0);
    writeChecksum(this.writer.buffer, checked.length, checked);
    try {
      this.database.putSync(this.key.view(), this.writer.buffer.subarray(keyLength, this.writer.length));
    } catch (error) {
      throw translateLmdbError(error, 'write', this.path);
    }
  }

  /** Removes the key; false when it had no row. Only inside a transaction. */
  remove(): boolean {
    return this.removeKey(this.key.view());
  }

  removeKey(key: Buffer): boolean {
    assert(this.isWriting, 'tables are changed inside a transaction');
    try {
      return this.database.removeSync(key);
    } catch (error) {
      throw translateLmdbError(error, 'write', this.path);
    }
  }

  /** Visits the rows of a range in order of their keys. Each is checked and is the row at hand when it is yielded. */
  *scan(range: KeyRange): Generator<Buffer> {
    if (this.isClosed) throw this.closedError('read');
    try {
      for (const { key, value } of this.database.getRange(range)) {
        this.key.buffer.set(key);
        this.join(key.length, value);
        yield key;
      }
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
  }

  /** As `scan`, without a generator: about half its time. `visit` must not read or change rows. */
  each(range: KeyRange, visit: (key: Buffer) => void): void {
    if (this.isClosed) throw this.closedError('read');
    try {
      for (const { key, value } of this.database.getRange(range)) {
        this.key.buffer.set(key);
        this.join(key.length, value);
        visit(key);
      }
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
  }

  /** Visits the keys of a range; the rows are not looked at. */
  *scanKeys(range: KeyRange, limit?: number): Generator<Buffer> {
    if (this.isClosed) throw this.closedError('read');
    try {
      yield* this.database.getKeys(limit === undefined ? { ...range } : { ...range, limit });
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
  }

  /** Whether a range has more than `count` keys; they are passed over, not read. */
  hasMoreThan(range: KeyRange, count: number): boolean {
    if (this.isClosed) throw this.closedError('read');
    try {
      for (const _key of this.database.getKeys({ ...range, offset: count, limit: 1 })) return true;
      return false;
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
  }

  /** Removes at most `limit` rows of a range. Returns how many; fewer than `limit` when none is left. */
  removeRange(range: KeyRange, limit: number): number {
    // Collected first: a cursor is not kept over changes.
    const keys = [...this.scanKeys(range, limit)];
    for (const key of keys) this.removeKey(key);
    return keys.length;
  }

  get isInTransaction(): boolean {
    return this.isWriting;
  }

  /**
   * Runs `change` in one transaction, which is durable when this returns; when `change` throws, nothing of it
   * happened and the error is thrown on. A call inside a transaction belongs to that one.
   */
  transaction<T>(change: () => T): T {
    if (this.isClosed) throw this.closedError('change tables');
    if (this.isWriting) return this.nested(change);
    this.hasNestedFailure = false;
    this.lock.acquire();
    try {
      return this.database.transactionSync(() => {
        this.isWriting = true;
        try {
          const result = change();
          assert(!(result instanceof Promise), 'a transaction is synchronous');
          assert(!this.hasNestedFailure, 'no error of a nested transaction was swallowed');
          return result;
        } finally {
          this.isWriting = false;
        }
      });
    } catch (error) {
      throw translateLmdbError(error, 'change tables', this.path);
    } finally {
      this.lock.release();
    }
  }

  private nested<T>(change: () => T): T {
    try {
      return change();
    } catch (error) {
      this.hasNestedFailure = true;
      throw error;
    }
  }

  /** Sees what other processes have committed: the next read uses a new snapshot. */
  renew(): void {
    if (this.isClosed) throw this.closedError('read');
    this.database.resetReadTxn();
  }

  /** Figures of the database, for `stat` and tests. */
  figures(): TableFigures {
    if (this.isClosed) throw this.closedError('read');
    // The type of getStats is {}; these are the fields that its source (env.cpp, dbi.cpp of lmdb) sets.
    const stats = this.database.getStats() as {
      entryCount: number;
      pageSize: number;
      lastPageNumber: number;
      numReaders: number;
    };
    return {
      rowCount: stats.entryCount,
      fileBytes: (stats.lastPageNumber + 1) * stats.pageSize,
      readerCount: stats.numReaders,
    };
  }
}

/** A look at the file in a directory before LMDB has it: throws ERR_STORE_CORRUPT, and errors of the directory. */
type TablesCheck = (directory: string) => void;

/** Others may change the file while it is looked at. Errors of the directory. */
function looksSound(path: string, check: TablesCheck): boolean {
  try {
    check(path);
    return true;
  } catch (error) {
    if (error instanceof StoreError) return false;
    throw error;
  }
}

/** The binding takes it, its types do not know it. Its own default lets everybody read. */
const FILES_OF_THE_USER = { permissionsMode: 0o600 };

function openDatabase(path: string): RootDatabase<Buffer, Buffer> {
  try {
    return open<Buffer, Buffer>({
      ...FILES_OF_THE_USER,
      path,
      noSubdir: false,
      keyEncoding: 'binary',
      encoding: 'binary',
      maxReaders: READERS_MAX,
      // Every transaction here is synced by its own commit. With overlapping syncs `close` waits, spinning, for a
      // number that a process which was killed in a commit never wrote (mdb_env_sync of lmdb 3.5).
      overlappingSync: false,
    });
  } catch (error) {
    throw translateLmdbError(error, 'open the tables', path);
  }
}

export interface TableFigures {
  /** Rows of all tables together. */
  readonly rowCount: number;
  readonly fileBytes: number;
  readonly readerCount: number;
}
