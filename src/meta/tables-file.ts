/**
 * Checks `data.mdb` before LMDB opens it. The binding crashes the process when LMDB refuses a file, and reading a page
 * beyond the end of the file raises SIGBUS. The checks here turn both into errors.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { codeOfErrno, DecodeError, FsError, StoreError } from '../base/index.ts';
import {
  decodeLmdbMeta,
  LMDB_META_BYTES,
  LMDB_VERSION,
  type LmdbMeta,
  visitReferences,
} from './lmdb-format.ts';

const FILE_NAME = 'data.mdb';
const HINT = 'Restore the meta directory from a copy';
const DEPTH_MAX = 32;

function corrupt(path: string, problem: string): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', 'open the tables', path, problem, HINT);
}

function hostError(error: unknown, path: string): unknown {
  // Errors of node:fs carry libuv's negative errno.
  const errno = error instanceof Error && 'syscall' in error && 'errno' in error ? error.errno : undefined;
  if (error instanceof FsError || typeof errno !== 'number') return error;
  return new FsError(codeOfErrno(-errno), { syscall: 'open', path });
}

/** The open file, with the newer of its two meta pages, which is the one in force. */
class TablesFile {
  readonly path: string;
  readonly meta: LmdbMeta;
  private readonly descriptor: number;
  private readonly pageCount: number;
  private visitedCount = 0;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.descriptor = descriptor;
    const first = this.readMeta(0, 0);
    const second = this.readMeta(1, first.pageBytes);
    this.meta = second.transaction > first.transaction ? second : first;
    // Measured after reading the meta pages: another process may have added pages since, but never removes any.
    this.pageCount = Math.floor(fstatSync(descriptor).size / this.meta.pageBytes);
  }

  private readMeta(number: number, position: number): LmdbMeta {
    const page = Buffer.alloc(LMDB_META_BYTES);
    if (readSync(this.descriptor, page, 0, LMDB_META_BYTES, position) < LMDB_META_BYTES) {
      throw corrupt(this.path, 'the file is cut short');
    }
    let meta: LmdbMeta;
    try {
      meta = decodeLmdbMeta(page);
    } catch (error) {
      throw error instanceof DecodeError ? corrupt(this.path, `page ${number} is ${error.message}`) : error;
    }
    if (meta.version !== LMDB_VERSION) {
      const problem = `the tables have data version ${meta.version}, this program reads ${LMDB_VERSION}`;
      const hint = 'Use the version of Ramet that made the store';
      throw new StoreError('ERR_STORE_VERSION', 'open the tables', this.path, problem, hint);
    }
    const { pageBytes } = meta;
    if (pageBytes < 512 || pageBytes > 65536 || (pageBytes & (pageBytes - 1)) !== 0) {
      throw corrupt(this.path, `the page size is ${pageBytes}`);
    }
    return meta;
  }

  /**
   * True if the file ends before the last page that was ever used. That page may be free, so the file may still be
   * whole.
   */
  get isShort(): boolean {
    return this.pageCount <= this.meta.lastPage;
  }

  /**
   * Follows both trees from their roots. Throws ERR_STORE_CORRUPT unless all their pages exist and are of the right
   * kind.
   */
  walk(): void {
    for (const root of this.meta.roots) {
      this.claim(root, 1);
      this.walkPage(root, 0);
    }
  }

  private claim(first: number, count: number): void {
    if (first < 2 || count < 1 || first + count > this.pageCount) {
      const problem = `page ${first} is needed, and the file has ${this.pageCount} pages: it was cut short`;
      throw corrupt(this.path, problem);
    }
    this.visitedCount += count;
    if (this.visitedCount > this.pageCount) throw corrupt(this.path, 'a page is used twice');
  }

  private walkPage(number: number, depth: number): void {
    if (depth > DEPTH_MAX) throw corrupt(this.path, 'a page is used twice');
    const { pageBytes } = this.meta;
    const page = Buffer.allocUnsafe(pageBytes);
    if (readSync(this.descriptor, page, 0, pageBytes, number * pageBytes) < pageBytes) {
      throw corrupt(this.path, `page ${number} cannot be read whole`);
    }
    const children: number[] = [];
    try {
      visitReferences(page, number, (first, count, isTree) => {
        this.claim(first, count);
        if (isTree) children.push(first);
      });
    } catch (error) {
      throw error instanceof DecodeError ? corrupt(this.path, `page ${number} is ${error.message}`) : error;
    }
    for (const child of children) this.walkPage(child, depth + 1);
  }
}

/** The number of the last transaction; 0 if there is no file yet. Errors: those of `checkTablesFile`. */
export function tablesTransaction(directory: string): bigint {
  let transaction = 0n;
  inspect(directory, ({ meta }) => {
    transaction = meta.transaction;
  });
  return transaction;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/**
 * Checks that LMDB can safely open the file in a directory. A missing or empty file passes. A file that others change
 * meanwhile may look damaged. With `isThorough`, follows every page, so the time grows with the tables; otherwise
 * follows them only if the file is short. Errors: ENOENT, ENOTDIR and the like for the directory, ERR_STORE_CORRUPT,
 * ERR_STORE_VERSION.
 */
export function checkTablesFile(directory: string, isThorough = false): void {
  inspect(directory, (file) => {
    if (isThorough || file.isShort) file.walk();
  });
}

function inspect(directory: string, look: (file: TablesFile) => void): void {
  const path = join(directory, FILE_NAME);
  let descriptor: number;
  try {
    if (!statSync(directory).isDirectory())
      throw new FsError('ENOTDIR', { syscall: 'open', path: directory });
    descriptor = openSync(path, 'r');
  } catch (error) {
    const failure = hostError(error, directory);
    // The directory exists, so the file is missing, and LMDB will make it.
    if (failure instanceof FsError && failure.code === 'ENOENT' && isDirectory(directory)) return;
    throw failure;
  }
  try {
    if (fstatSync(descriptor).size === 0) return;
    look(new TablesFile(path, descriptor));
  } catch (error) {
    throw hostError(error, path);
  } finally {
    closeSync(descriptor);
  }
}
