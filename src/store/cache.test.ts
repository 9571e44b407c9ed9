/** The limits of the names and inodes that open trees keep in memory: reads are right however low the limits are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFile, SharedStore, writeFile } from '../../testing/stores/shared-store.ts';
import { TreeCache } from '../layer/index.ts';
import { createSystem } from '../sys/index.ts';

const FILES = 300;
const LIMITS = { inodesMax: 64, namesMax: 200 };

function contentOf(index: number): Buffer {
  return Buffer.from(`content of ${index}`);
}

async function openSmall(scratch: SharedStore) {
  const cache = new TreeCache(LIMITS);
  const engine = await scratch.open(createSystem(), { cache });
  const base = engine.createEmpty('base');
  base.fileSystem.makeDirectory('/d', 0o755);
  for (let index = 0; index < FILES; index++) writeFile(base, `/d/${index}`, contentOf(index));
  return { cache, engine, base };
}

test('several trees together stay within one limit, and everything is read right', async () => {
  await using scratch = new SharedStore();
  const { cache, engine } = await openSmall(scratch);
  const trees = ['one', 'two', 'three'].map((name) => engine.fork('base', name));
  for (let round = 0; round < 3; round++) {
    for (const tree of trees) {
      const names = tree.fileSystem.readDirectoryNames('/d');
      assert.equal(names.length, FILES);
      for (let index = 0; index < FILES; index += 7)
        assert.deepEqual(readFile(tree, `/d/${index}`), contentOf(index));
      assert.throws(() => tree.fileSystem.stat('/d/none', true), { code: 'ENOENT' });
      const { inodes, names: kept } = cache.counts;
      // The listing of one directory may exceed the limit until the next operation.
      assert.ok(
        inodes <= LIMITS.inodesMax + 4 && kept <= LIMITS.namesMax + 4,
        `${inodes} inodes, ${kept} names`,
      );
    }
  }
  for (const tree of trees) tree.close();
  engine.openTreeOf('base')!.close();
  assert.deepEqual(cache.counts, { inodes: 0, names: 0 });
});

test('changed, open and mapped inodes stay in memory, and so do names that no checkpoint has stored', async () => {
  await using scratch = new SharedStore();
  const { engine } = await openSmall(scratch);
  const tree = engine.fork('base', 'one');
  const files = tree.fileSystem;
  const file = files.open('/d/5', 0o2, 0);
  const view = createSystem().canMap ? files.map(file) : undefined;
  files.unlink('/d/5');
  for (let index = 0; index < FILES; index += 2) files.unlink(`/d/${index}`);
  writeFile(tree, '/d/new', contentOf(1000));
  for (let index = 1; index < FILES; index += 2) {
    if (index !== 5) assert.deepEqual(readFile(tree, `/d/${index}`), contentOf(index));
  }
  assert.equal(files.readDirectoryNames('/d').length, FILES / 2);
  assert.throws(() => files.stat('/d/4', true), { code: 'ENOENT' });
  assert.throws(() => files.stat('/d/5', true), { code: 'ENOENT' });
  assert.deepEqual(readFile(tree, '/d/new'), contentOf(1000));
  files.write(file, Buffer.from('CON'), 0, 3, 0);
  const bytes = Buffer.alloc(12);
  files.read(file, bytes, 0, 12, 0);
  assert.equal(bytes.toString(), 'CONtent of 5');
  if (view !== undefined) assert.equal(Buffer.from(view.bytes).toString(), 'CONtent of 5');
  tree.close();
  const again = engine.openTree('one').fileSystem;
  assert.equal(again.readDirectoryNames('/d').length, FILES / 2);
});

test('a tree that was only read drops inodes too, and keeps their access times', async () => {
  await using scratch = new SharedStore();
  const { engine } = await openSmall(scratch);
  engine.snapshot('base', 'frozen');
  const tree = engine.fork('frozen', 'two');
  readFile(tree, '/d/0');
  const atime = tree.fileSystem.stat('/d/0', true).atimeNanoseconds;
  for (let index = 1; index < FILES; index++) readFile(tree, `/d/${index}`);
  assert.ok(tree.stack.inodes.size <= LIMITS.inodesMax + 4, `${tree.stack.inodes.size} inodes are kept`);
  assert.equal(tree.fileSystem.stat('/d/0', true).atimeNanoseconds, atime);
});
