/**
 * Rows of the LMDB database, keys and payloads, as all tables read and write them. A stored value is the payload and 8
 * bytes of checksum64 over key and payload: LMDB detects neither flipped bits nor a row under the wrong key. Errors of
 * LMDB become FsError (disk full, limits) or StoreError (damage, closed).
 *
 * Everything but `close` is synchronous. Reading a row of usual size allocates nothing: the row is copied once into a
 * reused buffer, after its key, and is checked and decoded there.
 */
import { statfsSync } from 'node:fs';
import type { RootDatabase } from 'lmdb';
import { open } from 'lmdb';
import {
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
import type { Format } from './fields.ts';
import { describeKey, KEY_BYTES_MAX, KeyWriter, keyNumber } from './key-format.ts';
import { checkTablesFile } from './tables-file.ts';
import { TablesLock } from './tables-lock.ts';
import { Views } from './views.ts';

/** Processes and worker threads that may read at the same time. LMDB's own default is 126. */
const READERS_MAX = 1024;
const CORRUPT_HINT = 'Run fsck to see what is affected';

/** LMDB also reports EIO when a full disk cuts a write short. With less free space than this, EIO means a full disk. */
const FREE_BYTES_MIN = 64 * 4096;

function isDiskFull(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize < FREE_BYTES_MIN;
  } catch {
    return false;
  }
}

/** Error numbers of LMDB (lmdb.h) for limits that were reached. */
const LIMITS = new Map<number, readonly [code: 'ENOSPC' | 'ENFILE' | 'EFBIG', note: string]>([
  [-30792, ['ENOSPC', 'the tables are full']], // MAP_FULL
  [-30790, ['ENFILE', `more than ${READERS_MAX} processes read the tables at once`]], // READERS_FULL
  [-30788, ['EFBIG', 'too many changes in one transaction']], // TXN_FULL
]);
const MDB_VERSION_MISMATCH = -30794;
const DAMAGE = new Set([-30797, -30796, -30793]); // PAGE_NOTFOUND, CORRUPTED, INVALID

function closedError(operation: string, path: string): StoreError {
  return new StoreError('ERR_STORE_CLOSED', operation, path, 'the store is closed', 'Open it again');
}

/** Turns errors of `lmdb` into errors of this project; other errors pass unchanged. */
export function translateLmdbError(error: unknown, operation: string, path: string): unknown {
  if (!(error instanceof Error) || error instanceof FsError || error instanceof StoreError) return error;
  const { message } = error;
  if (/database has been closed|closed database/.test(message)) return closedError(operation, path);
  const code = 'code' in error ? error.code : undefined;
  if (typeof code !== 'number') return error;
  const [name, problem] =
    code === EIO && isDiskFull(path) ? (['ENOSPC', 'the disk is full'] as const) : (LIMITS.get(code) ?? []);
  if (name !== undefined) return new FsError(name, { path, note: `${operation}: ${problem}` });
  if (code > 0) return new FsError(codeOfErrno(code), { path, note: `${operation}: ${message}` });
  if (code === MDB_VERSION_MISMATCH) {
    const what = `the tables have another file format (${message})`;
    const hint = 'Use the version of Ramet that made the store';
    return new StoreError('ERR_STORE_VERSION', operation, path, what, hint);
  }
  if (DAMAGE.has(code)) {
    const what = `the tables are damaged (${message})`;
    return new StoreError('ERR_STORE_CORRUPT', operation, path, what, CORRUPT_HINT);
  }
  return new FsError('EIO', { path, note: `${operation}: ${message} (LMDB ${code})` });
}

/** The longest value that the reused buffer has room for, after the longest key. */
const VALUE_BYTES_MAX = 4096;
const ROW_BYTES = KEY_BYTES_MAX + VALUE_BYTES_MAX;

/** The bounds of a scan. Nobody changes the buffers. */
export interface KeyRange {
  readonly start: Buffer;
  /** The first key after the range. */
  readonly end: Buffer;
}

export interface TablesOptions {
  /** Check every page first, because LMDB ends the process when it meets a damaged page. */
  readonly checksTables?: boolean;
  /** How long to wait while others have the tables locked. Default: without limit. */
  readonly lockWaitMsMax?: number;
}

export class Rows {
  readonly path: string;
  private readonly database: RootDatabase<Buffer, Buffer>;
  private readonly lock: TablesLock;
  private readonly key: KeyWriter = new KeyWriter(Buffer.alloc(ROW_BYTES));
  private readonly writer = new ByteWriter(ROW_BYTES);
  private readonly valueViews = new Views();
  private readonly joinedViews = new Views();
  private hasNestedFailure = false;
  private isClosed = false;
  private isWriting = false;

  /** The last row that was read: its payload is `bytes[payloadStart..payloadEnd]`. */
  private bytes: Buffer;
  private payloadStart = 0;
  private payloadEnd = 0;
  private readonly reader = new ByteReader(Buffer.alloc(0));

  private constructor(path: string, database: RootDatabase<Buffer, Buffer>, lock: TablesLock) {
    this.path = path;
    this.database = database;
    this.lock = lock;
    this.bytes = this.key.buffer;
  }

  /**
   * Opens the database in a directory, after a check of its file; creates it if there is none.
   * Errors: ENOENT or ENOTDIR when the directory is missing, ERR_STORE_CORRUPT, ERR_STORE_VERSION, ENFILE.
   */
  static open(path: string, kind: System['kind'] | undefined, options: TablesOptions): Rows {
    const { checksTables, lockWaitMsMax } = options;
    const isSound = looksSound(path, checksTables);
    const lock = TablesLock.open(path, kind, lockWaitMsMax);
    try {
      lock.acquire();
      try {
        // The first check may have read the file while others changed it. Now nobody can: check again.
        if (!isSound) checkTablesFile(path, checksTables);
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

  /** Starts the key of the row that the next calls read or write. */
  at(table: number): KeyWriter {
    return this.key.start(table);
  }

  /** Looks up the key. True when the key has a row; `decode` then reads that row, until the next row is read. */
  find(): boolean {
    if (this.isClosed) throw closedError('read', this.path);
    let value: Buffer | undefined;
    try {
      value = this.database.getBinaryFast(this.key.view());
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
    if (value === undefined) return false;
    // lmdb sets `length` on its own buffer, which `subarray` ignores: only both bounds give the value.
    this.join(this.key.length, this.valueViews.of(value, value.length));
    return true;
  }

  /** Appends a stored value to the key, checks it, and makes it the current row. */
  private join(keyLength: number, value: Uint8Array): void {
    const checkedEnd = keyLength + value.length - CHECKSUM_BYTES;
    this.payloadStart = keyLength;
    this.payloadEnd = checkedEnd;
    this.bytes = this.key.buffer;
    if (checkedEnd < keyLength) throw this.damaged('it is too short');
    let checked: Uint8Array;
    if (value.length <= VALUE_BYTES_MAX) {
      this.bytes.set(value, keyLength);
      checked = this.joinedViews.of(this.bytes, checkedEnd);
    } else {
      this.bytes = Buffer.concat([this.key.buffer.subarray(0, keyLength), value]);
      checked = this.bytes.subarray(0, checkedEnd);
    }
    if (!isChecksum(this.bytes, checkedEnd, checked)) throw this.damaged('its checksum is wrong');
  }

  /** The error for the current row. */
  private damaged(problem: string): StoreError {
    const key = Buffer.from(this.bytes.subarray(0, this.payloadStart));
    return this.corrupt(`the ${describeKey(key)} is damaged: ${problem}`);
  }

  /** The error for rows that contradict each other, or that this program never writes. */
  corrupt(problem: string): StoreError {
    return new StoreError('ERR_STORE_CORRUPT', 'read tables', this.path, problem, CORRUPT_HINT);
  }

  /** The error for a key that this program never writes. */
  badKey(key: Buffer): StoreError {
    return this.corrupt(`the ${describeKey(Buffer.from(key))} is damaged: its key is invalid`);
  }

  /** The u64 at offset `at` of a key. ERR_STORE_CORRUPT if the key is too short, or the number is 2^53 or more. */
  numberIn(key: Buffer, at: number): number {
    const number = key.length < at + 8 ? Number.NaN : keyNumber(key, at);
    if (!Number.isSafeInteger(number)) throw this.badKey(key);
    return number;
  }

  /** Decodes the whole row that was found. A row with a correct checksum that cannot be decoded is damaged too. */
  decode<Row>(format: Pick<Format<Row>, 'read'>): Row {
    const reader = this.reader.reset(this.bytes, this.payloadStart, this.payloadEnd);
    try {
      const row = format.read(reader);
      if (!reader.isAtEnd) throw new DecodeError(`${reader.end - reader.offset} bytes too many`);
      return row;
    } catch (error) {
      throw error instanceof DecodeError ? this.damaged(error.message) : error;
    }
  }

  /** A writer for the key's payload, which `put` then stores. */
  payload(): ByteWriter {
    return this.writer.reset().raw(this.key.view());
  }

  /** Stores the key with the payload. Only inside a transaction. */
  put(): void {
    assert(this.isWriting, 'tables are changed inside a transaction');
    const keyLength = this.key.length;
    const checked = this.writer.view();
    // Makes room for the checksum. This may replace the buffer, but `checked` still has the bytes.
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

  /** Visits the rows of a range in order of their keys. Each is checked, and is the current row when it is yielded. */
  *scan(range: KeyRange): Generator<Buffer> {
    if (this.isClosed) throw closedError('read', this.path);
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

  /** Like `scan`, but without a generator, in about half the time. `visit` must not read or change rows. */
  each(range: KeyRange, visit: (key: Buffer) => void): void {
    if (this.isClosed) throw closedError('read', this.path);
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

  /** Visits the keys of a range, at most `limit` of them after the first `offset`. The rows are not checked. */
  *scanKeys(range: KeyRange, limit = Number.POSITIVE_INFINITY, offset = 0): Generator<Buffer> {
    if (this.isClosed) throw closedError('read', this.path);
    try {
      yield* this.database.getKeys({ ...range, limit, offset });
    } catch (error) {
      throw translateLmdbError(error, 'read', this.path);
    }
  }

  /** True when a range has more than `count` keys. */
  hasMoreThan(range: KeyRange, count: number): boolean {
    for (const _key of this.scanKeys(range, 1, count)) return true;
    return false;
  }

  /** Removes at most `limit` rows of a range. Returns how many it removed: fewer than `limit` when none is left. */
  removeRange(range: KeyRange, limit?: number): number {
    // Collect the keys first: a cursor must not stay open over changes.
    const keys = [...this.scanKeys(range, limit)];
    for (const key of keys) this.removeKey(key);
    return keys.length;
  }

  get isInTransaction(): boolean {
    return this.isWriting;
  }

  /**
   * Runs `change` in one transaction, which is durable when this returns. When `change` throws, the tables stay as they
   * were, and this throws the same error. A nested call belongs to the outer transaction.
   */
  transaction<T>(change: () => T): T {
    if (this.isClosed) throw closedError('change tables', this.path);
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

  /** Makes the next read use a new snapshot, with what other processes have committed. */
  renew(): void {
    if (this.isClosed) throw closedError('read', this.path);
    this.database.resetReadTxn();
  }

  figures(): TableFigures {
    if (this.isClosed) throw closedError('read', this.path);
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

/** False when the file looks damaged, perhaps only because others are changing it. Throws errors of the directory. */
function looksSound(path: string, checksTables: boolean | undefined): boolean {
  try {
    checkTablesFile(path, checksTables);
    return true;
  } catch (error) {
    if (error instanceof StoreError) return false;
    throw error;
  }
}

/** The package `lmdb` knows this option, but its types lack it. Without the option, everybody may read the files. */
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
      // Every commit here syncs by itself. With overlapping syncs, `close` spins until the last commit has written its
      // number, and a process that is killed in a commit never writes it (mdb_env_sync of lmdb 3.5).
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
