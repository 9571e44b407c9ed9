/** A directory that is imported again after some files changed: unchanged blocks are not stored again. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { diskBytes, problemsOf, readFile } from '../../testing/stores/shared-store.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { BLOCK_SIZE, isFsError } from '../base/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { collectGarbage } from '../upkeep/index.ts';
import { importTree } from './import.ts';

const MIB = 1024 * 1024;

async function versions(context: TestContext): Promise<{ root: string; engine: StoreEngine }> {
  const root = join(scratchDirectory(context), 'tree');
  mkdirSync(join(root, 'sub'), { recursive: true });
  return { root, engine: await scratchStore(context) };
}

function imported(engine: StoreEngine, root: string, name: string, against?: string) {
  return importTree(engine, root, { name, against });
}

function checkFile(engine: StoreEngine, name: string, path: string, bytes: Buffer): void {
  const tree = engine.openTree(name);
  assert.ok(readFile(tree, path).equals(bytes), `${name}:${path}`);
  tree.close();
}

test('of a small file that has changed only the changed blocks are stored', async (context) => {
  const { root, engine } = await versions(context);
  const [one, two] = [seededBytes(1, 10 * BLOCK_SIZE + 100), seededBytes(1, 10 * BLOCK_SIZE + 100)];
  two.write('changed', 4 * BLOCK_SIZE + 10);
  writeFileSync(join(root, 'sub/file'), one);
  await imported(engine, root, 'one');
  writeFileSync(join(root, 'sub/file'), two);
  // A new file with equal content is found by its content, even if the blocks of that lie in several places.
  writeFileSync(join(root, 'sub/gile'), two);
  const report = await imported(engine, root, 'two');
  assert.equal(report.storedBytes, BLOCK_SIZE);
  for (const path of ['/sub/file', '/sub/gile']) checkFile(engine, 'two', path, two);
  checkFile(engine, 'one', '/sub/file', one);
  const again = await imported(engine, root, 'three');
  assert.equal(again.storedBytes, 0, 'nothing has changed since');
  collectGarbage(engine);
  checkFile(engine, 'three', '/sub/file', two);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('of a large file that has changed only the changed blocks take space', async (context) => {
  const { root, engine } = await versions(context);
  const [one, two] = [seededBytes(1, 4 * MIB + 100), seededBytes(1, 4 * MIB + 100)];
  two.write('changed', MIB + 10);
  two.write('too', 4 * MIB + 50);
  writeFileSync(join(root, 'large'), one);
  await imported(engine, root, 'one');
  const before = diskBytes(engine);
  writeFileSync(join(root, 'large'), two);
  const report = await imported(engine, root, 'two');
  assert.equal(report.storedBytes, BLOCK_SIZE + 100);
  if (engine.system.kind === 'native') assert.ok(diskBytes(engine) - before <= 16 * BLOCK_SIZE);
  checkFile(engine, 'two', '/large', two);
  const again = await imported(engine, root, 'three');
  assert.equal(again.storedBytes, 0);
  checkFile(engine, 'three', '/large', two);
  engine.drop('one');
  collectGarbage(engine);
  checkFile(engine, 'three', '/large', two);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a shortened file stores at most its new tail, a new directory nothing', async (context) => {
  const { root, engine } = await versions(context);
  const dense = seededBytes(1, 2 * MIB);
  writeFileSync(join(root, 'a'), dense);
  writeFileSync(join(root, 'b'), seededBytes(2, 5 * BLOCK_SIZE));
  writeFileSync(join(root, 'c'), 'file');
  await imported(engine, root, 'one');
  truncateSync(join(root, 'a'), MIB + BLOCK_SIZE + 7);
  truncateSync(join(root, 'b'), 3 * BLOCK_SIZE);
  rmSync(join(root, 'c'));
  mkdirSync(join(root, 'c'));
  const report = await imported(engine, root, 'two');
  assert.equal(report.storedBytes, 7);
  checkFile(engine, 'two', '/a', dense.subarray(0, MIB + BLOCK_SIZE + 7));
  checkFile(engine, 'two', '/b', seededBytes(2, 5 * BLOCK_SIZE).subarray(0, 3 * BLOCK_SIZE));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('the tree to share blocks with can be named, and must exist', async (context) => {
  const { root, engine } = await versions(context);
  const other = join(root, '../other');
  mkdirSync(other);
  const bytes = seededBytes(1, 8 * BLOCK_SIZE);
  writeFileSync(join(root, 'file'), bytes);
  await imported(engine, root, 'one');
  bytes.write('changed');
  writeFileSync(join(other, 'file'), bytes);
  assert.equal((await imported(engine, other, 'alone')).storedBytes, 8 * BLOCK_SIZE);
  bytes.write('changed again');
  writeFileSync(join(other, 'file'), bytes);
  assert.equal((await imported(engine, other, 'against', 'one')).storedBytes, BLOCK_SIZE);
  await assert.rejects(imported(engine, other, 'nothing', 'none'), (error) => isFsError(error, 'ENOENT'));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});
