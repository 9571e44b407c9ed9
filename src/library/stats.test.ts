/** Stats, BigIntStats, StatFs and Dirent have the shapes of node:fs. */
import assert from 'node:assert/strict';
import * as host from 'node:fs';
import { test } from 'node:test';
import { Dirent } from './directory-entry.ts';
import { BigIntStats, StatFs, Stats } from './stats.ts';

const ATTRIBUTES = {
  dev: 82,
  ino: 7,
  mode: host.constants.S_IFREG | 0o644,
  nlink: 1,
  uid: 10,
  gid: 20,
  rdev: 0,
  size: 5,
  blksize: 4096,
  blocks: 8,
  atimeSeconds: 1_700_000_000,
  atimeNanoseconds: 123_456_789,
  mtimeSeconds: -2,
  mtimeNanoseconds: 500_000_000,
  ctimeSeconds: 3,
  ctimeNanoseconds: 600_000,
  birthSeconds: 4,
  birthNanoseconds: 0,
};

const KINDS = [
  [host.constants.S_IFREG, 'isFile', 8],
  [host.constants.S_IFDIR, 'isDirectory', 4],
  [host.constants.S_IFLNK, 'isSymbolicLink', 10],
  [host.constants.S_IFIFO, 'isFIFO', 1],
  [host.constants.S_IFSOCK, 'isSocket', 12],
  [host.constants.S_IFCHR, 'isCharacterDevice', 2],
  [host.constants.S_IFBLK, 'isBlockDevice', 6],
] as const;

test('Stats has the numbers as own properties, and those only, as in Node 24', () => {
  const stats = new Stats(ATTRIBUTES);
  assert.deepEqual(Object.keys(stats), [
    ...['dev', 'mode', 'nlink', 'uid', 'gid', 'rdev', 'blksize', 'ino', 'size', 'blocks'],
    ...['atimeMs', 'mtimeMs', 'ctimeMs', 'birthtimeMs'],
  ]);
  assert.equal(stats.atimeMs, 1_700_000_000_123.4568);
  assert.equal(stats.mtimeMs, -1500);
  assert.equal(stats.ctimeMs, 3000.6);
  assert.equal(stats.ino, 7);
});

test('dates are made on demand and rounded, stay the same object, and can be replaced', () => {
  for (const stats of [new Stats(ATTRIBUTES), new BigIntStats(ATTRIBUTES)]) {
    assert.equal(stats.atime.getTime(), 1_700_000_000_123);
    assert.equal(stats.atime, stats.atime);
    assert.ok(Object.hasOwn(stats, 'atime'));
    assert.equal(stats.mtime.getTime(), -1500);
    assert.equal(stats.birthtime.getTime(), 4000);
    stats.ctime = new Date(0);
    assert.equal(stats.ctime.getTime(), 0);
  }
  assert.equal(new Stats(ATTRIBUTES).ctime.getTime(), 3001);
});

test('BigIntStats has nanoseconds', () => {
  const stats = new BigIntStats(ATTRIBUTES);
  assert.equal(stats.atimeNs, 1_700_000_000_123_456_789n);
  assert.equal(stats.atimeMs, 1_700_000_000_123n);
  assert.equal(stats.mtimeNs, -1_500_000_000n);
  assert.equal(stats.size, 5n);
  assert.ok(Object.values(stats).every((value) => typeof value === 'bigint'));
});

test('exactly one kind is true, for Stats, BigIntStats and Dirent', () => {
  for (const [type, ask, kind] of KINDS) {
    const attributes = { ...ATTRIBUTES, mode: type | 0o600 };
    for (const thing of [new Stats(attributes), new BigIntStats(attributes), new Dirent('n', '/d', kind)]) {
      const answers = KINDS.filter(([, question]) => thing[question]()).map(([, question]) => question);
      assert.deepEqual(answers, [ask]);
    }
  }
});

test('instanceof the classes of node:fs holds', () => {
  assert.ok(new Stats(ATTRIBUTES) instanceof host.Stats);
  assert.ok(new Dirent('n', '/d', 8) instanceof host.Dirent);
});

test('a Dirent has its directory as parentPath and as path', () => {
  const entry = new Dirent('name', '/directory', 8);
  assert.deepEqual(Object.keys(entry), ['name', 'parentPath']);
  assert.equal(entry.path, '/directory');
});

test('StatFs has numbers or bigints', () => {
  const counts = { type: 1, bsize: 4096, blocks: 10, bfree: 5, bavail: 4, files: 3, ffree: 2 };
  assert.deepEqual({ ...new StatFs(counts, Number) }, { ...counts, frsize: 4096 });
  assert.equal(new StatFs(counts, BigInt).bavail, 4n);
});
