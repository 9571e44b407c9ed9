/** Files that would crash LMDB are refused with a message before LMDB sees them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Ino, type LayerId, StoreError } from '../base/index.ts';
import { MetaTables } from './tables.ts';
import { checkTablesFile } from './tables-file.ts';

const root = mkdtempSync(join(tmpdir(), 'ramet-tables-file-'));
const directory = mkdtempSync(join(root, 'meta-'));
const path = join(directory, 'data.mdb');
const LAYER = 1 as LayerId;
const PAGE_BYTES = 4096;
let whole: Buffer;

before(async () => {
  const tables = MetaTables.open(directory);
  for (let round = 0; round < 3; round++) {
    tables.transaction(() => {
      for (let number = 1; number <= 2000; number++) {
        tables.dentries.put(LAYER, 1 as Ino, `file ${number}` as never, { ino: number as Ino, kind: round });
      }
      tables.xattrs.put(LAYER, 1 as Ino, new Map([['user.x', Buffer.alloc(50_000, round)]]));
    });
  }
  await tables.close();
  whole = readFileSync(path);
});
after(() => rmSync(root, { recursive: true }));

function isRefused(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof StoreError && error.code === code && error.path === path && words.test(error.message);
}

function withBytes(change: (bytes: Buffer) => void): void {
  const bytes = Buffer.from(whole);
  change(bytes);
  writeFileSync(path, bytes);
}

test('a missing directory is ENOENT, a file in its place ENOTDIR', () => {
  const missing = join(root, 'missing');
  assert.throws(() => MetaTables.open(missing), { code: 'ENOENT', path: missing });
  const file = join(root, 'file');
  writeFileSync(file, '');
  assert.throws(() => MetaTables.open(file), { code: 'ENOTDIR', path: file });
  assert.throws(() => MetaTables.open(join(file, 'x')), { code: 'ENOTDIR' });
});

test('a directory without tables, and one with an empty file, get new tables', async () => {
  for (const isEmptyFile of [false, true]) {
    const fresh = mkdtempSync(join(root, 'fresh-'));
    if (isEmptyFile) writeFileSync(join(fresh, 'data.mdb'), '');
    const tables = MetaTables.open(fresh);
    tables.transaction(() => tables.counters.put('epoch', 5));
    await tables.close();
    checkTablesFile(fresh, true);
  }
});

test("a file that is not LMDB's is refused", () => {
  const refused = (words: RegExp) =>
    assert.throws(() => MetaTables.open(directory), isRefused('ERR_STORE_CORRUPT', words));
  writeFileSync(path, Buffer.alloc(65_536, 7));
  refused(/page 0 is not a meta page/);
  writeFileSync(path, Buffer.alloc(100, 7));
  refused(/cut short/);
  writeFileSync(path, whole.subarray(0, PAGE_BYTES));
  refused(/cut short/);
  for (const page of [0, 1]) {
    withBytes((bytes) => bytes.writeUInt8(0, page * PAGE_BYTES + 24));
    refused(new RegExp(`page ${page} is not a meta page`));
    withBytes((bytes) => bytes.writeUInt16LE(0, page * PAGE_BYTES + 18));
    refused(new RegExp(`page ${page} is not a meta page`));
  }
  withBytes((bytes) => bytes.writeUInt32LE(4097, 48));
  refused(/page size is 4097/);
});

test('another data version is ERR_STORE_VERSION', () => {
  for (const page of [0, 1]) {
    withBytes((bytes) => bytes.writeUInt32LE(99, page * PAGE_BYTES + 28));
    assert.throws(() => MetaTables.open(directory), isRefused('ERR_STORE_VERSION', /data version 99/));
  }
});

test('a file that was cut is refused if a used page is missing, and opens if only free pages are', async () => {
  let opened = 0;
  let refused = 0;
  for (let size = whole.length - 1024; size > 2 * PAGE_BYTES; size -= 7 * PAGE_BYTES) {
    writeFileSync(path, whole);
    truncateSync(path, size);
    let problem: unknown;
    try {
      checkTablesFile(directory);
    } catch (error) {
      problem = error;
    }
    if (problem === undefined) {
      opened++;
      const tables = MetaTables.open(directory);
      assert.equal(tables.dentries.list(LAYER, 1 as Ino).length, 2000);
      assert.equal(tables.xattrs.get(LAYER, 1 as Ino)?.get('user.x')?.length, 50_000);
      await tables.close();
    } else {
      refused++;
      assert.ok(isRefused('ERR_STORE_CORRUPT', /was cut short/)(problem));
    }
  }
  assert.ok(refused > 5, `${refused} refused, ${opened} opened`);
});

/** The pages that hold a branch or a leaf. */
function treePages(): number[] {
  const pages: number[] = [];
  for (let page = 2; page < whole.length / PAGE_BYTES; page++) {
    const flags = whole.readUInt16LE(page * PAGE_BYTES + 18) & 3;
    if (flags !== 0 && whole.readBigUInt64LE(page * PAGE_BYTES) === BigInt(page)) pages.push(page);
  }
  return pages;
}

test('the thorough check accepts sound tables and finds zeroed pages, moved pages and bad offsets', () => {
  writeFileSync(path, whole);
  assert.equal(statSync(path).size, whole.length);
  checkTablesFile(directory, true);
  const found = { neither: 0, other: 0, outside: 0 };
  for (const page of treePages()) {
    const at = page * PAGE_BYTES;
    const check = (words: RegExp, change: (bytes: Buffer) => void): number => {
      withBytes(change);
      try {
        checkTablesFile(directory, true);
        return 0; // A free page: nothing refers to it.
      } catch (error) {
        assert.ok(isRefused('ERR_STORE_CORRUPT', words)(error), String(error));
        return 1;
      }
    };
    found.neither += check(/neither a branch nor a leaf/, (bytes) => bytes.fill(0, at, at + PAGE_BYTES));
    found.other += check(/a page of another number/, (bytes) => bytes.writeBigUInt64LE(1n, at));
    found.outside += check(/outside its page|is needed|used twice/, (bytes) =>
      bytes.fill(0xff, at + 24, at + 40),
    );
  }
  assert.ok(found.neither > 10, JSON.stringify(found));
  assert.deepEqual([found.other, found.outside], [found.neither, found.neither]);
});
