/**
 * A look at `data.mdb` before LMDB opens it. The binding crashes the whole process when LMDB refuses a file, so what
 * LMDB would refuse is refused here first, with a message.
 *
 * The layout is that of lmdb 3.5 (LMDB data version 2): two meta pages, 0 and 1, each with a 24-byte page header
 * (u64 page number, u64 transaction, u16 padding, u16 flags, …) and then the meta record: u32 magic, u32 version,
 * u64 address, u64 map size, two 48-byte tree records (the first starts with the u32 page size; each ends in its root
 * page), u64 last page, u64 transaction. Little-endian on every machine that is supported.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { codeOfErrno, FsError, StoreError } from '../base/index.ts';

const PAGE_FLAGS_AT = 18;
const META_PAGE_FLAG = 0x08;
const MAGIC_AT = 24;
const MAGIC = 0xbeefc0de;
const VERSION_AT = 28;
const VERSION = 2;
const PAGE_SIZE_AT = 48;
const META_BYTES = 168;
const HINT = 'Restore the meta directory from a copy; fsck can say what the rest of the store holds';

function corrupt(path: string, problem: string): StoreError {
  return new StoreError('ERR_STORE_CORRUPT', 'open the tables', path, problem, HINT);
}

function hostError(error: unknown, path: string): unknown {
  // What node:fs throws carries libuv's negative errno.
  const errno = error instanceof Error && 'errno' in error ? error.errno : undefined;
  return typeof errno === 'number' ? new FsError(codeOfErrno(-errno), { syscall: 'open', path }) : error;
}

function checkMeta(path: string, page: Buffer, number: number): void {
  if (page.readUInt32LE(MAGIC_AT) !== MAGIC || (page.readUInt16LE(PAGE_FLAGS_AT) & META_PAGE_FLAG) === 0) {
    throw corrupt(path, `page ${number} is not a meta page`);
  }
  const version = page.readUInt32LE(VERSION_AT);
  if (version !== VERSION) {
    const problem = `the tables have data version ${version}, this program reads ${VERSION}`;
    const hint = 'Use the version of Ramet that made the store';
    throw new StoreError('ERR_STORE_VERSION', 'open the tables', path, problem, hint);
  }
}

/**
 * Checks the file `data.mdb` in a directory; one that is missing or empty is right, it will be made.
 * Errors: ENOENT and the like for the directory, ERR_STORE_CORRUPT, ERR_STORE_VERSION.
 */
export function checkTablesFile(directory: string): void {
  const path = join(directory, 'data.mdb');
  try {
    if (!statSync(directory).isDirectory())
      throw new FsError('ENOTDIR', { syscall: 'open', path: directory });
  } catch (error) {
    throw hostError(error, directory);
  }
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    const failure = hostError(error, path);
    if (failure instanceof FsError && failure.code === 'ENOENT') return;
    throw failure;
  }
  try {
    const size = fstatSync(descriptor).size;
    if (size === 0) return;
    const page = Buffer.alloc(META_BYTES);
    if (readSync(descriptor, page, 0, META_BYTES, 0) < META_BYTES)
      throw corrupt(path, 'the file is cut short');
    checkMeta(path, page, 0);
    const pageSize = page.readUInt32LE(PAGE_SIZE_AT);
    if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0) {
      throw corrupt(path, `the page size is ${pageSize}`);
    }
    if (readSync(descriptor, page, 0, META_BYTES, pageSize) < META_BYTES) {
      throw corrupt(path, 'the file is cut short');
    }
    checkMeta(path, page, 1);
  } catch (error) {
    throw hostError(error, path);
  } finally {
    closeSync(descriptor);
  }
}
