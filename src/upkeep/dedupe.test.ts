/** Dedupe: the blocks that it shares, those that it must leave alone, and work that goes on at the same time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import {
  liveBlocks,
  patternBytes,
  problemsOf,
  readFile,
  SharedStore,
  writeFile,
} from '../../testing/stores/shared-store.ts';
import { BLOCK_SIZE, type BlobId, isFsError } from '../base/index.ts';
import type { Tree } from '../store/index.ts';
import { dedupeStore } from './dedupe.ts';
import { collectGarbage } from './gc.ts';

const BLOCKS = 64;

/** Bytes of `count` blocks, each different from the others. */
function blocks(count: number, seed: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => patternBytes(BLOCK_SIZE, seed * 10_007 + index)),
  );
}

/** Where a file's blocks are, as `blob:block`. */
function places(tree: Tree, path: string): string[] {
  const file = tree.fileSystem.open(path, 0, 0);
  const { stack } = tree;
  const inode = stack.inode(file.inode.ino);
  const found: string[] = [];
  stack
    .mappingOf(inode)
    .extents.forEachPiece(0, Math.ceil(inode.record.size / BLOCK_SIZE), (_l, count, blob, at) => {
      for (let index = 0; index < count; index++) found.push(blob === 0 ? 'hole' : `${blob}:${at + index}`);
    });
  tree.fileSystem.close(file);
  return found;
}

test('equal files of two trees share their blocks, and gc frees the others', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const [one, two] = [engine.createEmpty('one'), engine.createEmpty('two')];
  const bytes = blocks(BLOCKS, 1).subarray(0, BLOCKS * BLOCK_SIZE - 100);
  writeFile(one, '/a', bytes);
  writeFile(two, '/b', bytes);
  const report = await dedupeStore(engine);
  assert.equal(report.bytesShared, BLOCKS * BLOCK_SIZE);
  assert.equal(report.bytesUnused, BLOCKS * BLOCK_SIZE);
  assert.equal(report.filesChanged, 1);
  assert.equal(report.isComplete, true);
  assert.deepEqual(places(one, '/a'), places(two, '/b'));
  assert.equal(liveBlocks(engine), BLOCKS);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  const { bytesFreed } = collectGarbage(engine);
  assert.ok(bytesFreed >= BLOCKS * BLOCK_SIZE, `${bytesFreed} bytes`);
  for (const [tree, path] of [
    [one, '/a'],
    [two, '/b'],
  ] as const)
    assert.deepEqual(readFile(tree, path), bytes);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  const again = await dedupeStore(engine);
  assert.equal(again.bytesShared, 0, 'shared blocks are not shared again');
});

test('equal ranges at different positions are shared, and the rest stays', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  const common = blocks(20, 1);
  writeFile(tree, '/a', Buffer.concat([blocks(3, 2), common, blocks(2, 3)]));
  writeFile(
    tree,
    '/b',
    Buffer.concat([common.subarray(8 * BLOCK_SIZE), blocks(5, 4), common.subarray(0, 4 * BLOCK_SIZE)]),
  );
  const before = [readFile(tree, '/a'), readFile(tree, '/b')];
  await dedupeStore(engine);
  const [a, b] = [places(tree, '/a'), places(tree, '/b')];
  assert.deepEqual(b.slice(0, 12), a.slice(3 + 8, 3 + 20));
  assert.deepEqual(b.slice(17), a.slice(3, 7));
  assert.equal(new Set([...a, ...b]).size, 25 + 5);
  collectGarbage(engine);
  assert.deepEqual([readFile(tree, '/a'), readFile(tree, '/b')], before);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('zeros that were written stay data, holes stay holes', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  writeFile(tree, '/zeros', Buffer.alloc(8 * BLOCK_SIZE));
  writeFile(tree, '/sparse', Buffer.alloc(BLOCK_SIZE), 7 * BLOCK_SIZE);
  await dedupeStore(engine);
  assert.equal(new Set(places(tree, '/zeros')).size, 1);
  assert.deepEqual(places(tree, '/sparse').slice(0, 7), Array(7).fill('hole'));
  assert.equal(places(tree, '/sparse')[7], places(tree, '/zeros')[0]);
  assert.equal(tree.fileSystem.stat('/zeros', true).blocks, tree.fileSystem.stat('/sparse', true).blocks * 8);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a run of blocks stays in one piece, although its first block also lies elsewhere', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  const long = Buffer.concat([Buffer.alloc(BLOCK_SIZE), blocks(9, 1)]);
  writeFile(tree, '/zeros', Buffer.alloc(BLOCK_SIZE));
  writeFile(tree, '/a', long);
  writeFile(tree, '/b', long);
  await dedupeStore(engine);
  assert.equal(new Set([...places(tree, '/zeros'), ...places(tree, '/a'), ...places(tree, '/b')]).size, 10);
});

test('with little memory it takes several passes, and shares the same blocks', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  const bytes = blocks(300, 1);
  for (const path of ['/a', '/b', '/c']) writeFile(tree, path, bytes);
  const report = await dedupeStore(engine, { memoryBytes: 1024 });
  assert.ok(report.passes > 3, `${report.passes} passes`);
  assert.equal(liveBlocks(engine), 300);
  for (const path of ['/a', '/b', '/c']) assert.deepEqual(readFile(tree, path), bytes);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a dedupe that reaches its time limit applies what it found, and the next one continues', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  for (const path of ['/a', '/b']) writeFile(tree, path, blocks(100, 1));
  assert.equal((await dedupeStore(engine, { timeMs: 0 })).isComplete, false);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  assert.equal((await dedupeStore(engine)).isComplete, true);
  assert.equal(liveBlocks(engine), 100);
});

test('given names, dedupe looks only at these trees', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  for (const name of ['one', 'two', 'three']) writeFile(engine.createEmpty(name), '/a', blocks(10, 1));
  for (const tree of engine.openTrees.forks) tree.checkpoint();
  await dedupeStore(engine, { trees: ['one', 'three'] });
  assert.equal(liveBlocks(engine), 20);
  await assert.rejects(dedupeStore(engine, { trees: ['four'] }), (error) => isFsError(error, 'ENOENT'));
});

test('while a dedupe is running, a second is refused and gc drops nothing', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const other = await scratch.open();
  const tree = engine.createEmpty('one');
  for (const path of ['/a', '/b']) writeFile(tree, path, blocks(50, 1));
  engine.createEmpty('gone').close();
  engine.drop('gone');
  const running = dedupeStore(engine);
  await assert.rejects(dedupeStore(other), (error) => isFsError(error, 'EBUSY'));
  assert.equal(collectGarbage(other).isImportRunning, true);
  await running;
  assert.equal(collectGarbage(other).isImportRunning, false);
  assert.equal(liveBlocks(engine), 50);
});

test('a fork that another process has open is skipped and reported, but its lower layers are shared', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const other = await scratch.open();
  const base = engine.createEmpty('base');
  for (const path of ['/a', '/b']) writeFile(base, path, blocks(50, 1));
  const fork = engine.fork('base', 'fork');
  writeFile(fork, '/c', blocks(50, 1));
  fork.checkpoint();
  base.close();
  const report = await dedupeStore(other);
  assert.deepEqual(report.forksSkipped, ['fork']);
  assert.equal(liveBlocks(engine), 100);
  assert.deepEqual(readFile(fork, '/b'), blocks(50, 1));
});

// Native only: where no holes can be punched, gc frees nothing of a blob in use, so there is no new epoch to follow.
test('a file that a process has open reads the same when gc frees its old blocks', {
  skip: nativeOnly,
}, async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const other = await scratch.open();
  const bytes = blocks(BLOCKS, 1);
  const base = engine.createEmpty('base');
  writeFile(base, '/a', bytes);
  writeFile(base, '/b', Buffer.concat([bytes, blocks(3, 2)]));
  engine.snapshot('base', 'frozen');
  const reader = engine.openTree('frozen');
  const file = reader.fileSystem.open('/b', 0, 0);
  const view = reader.fileSystem.map(file);
  const old = places(reader, '/b');
  base.close();
  await dedupeStore(other);
  collectGarbage(other);
  assert.deepEqual(places(reader, '/b'), old, 'the reader has not followed yet');
  const expected = Buffer.concat([bytes, blocks(3, 2)]);
  assert.deepEqual(readFile(reader, '/b'), expected);
  assert.equal(engine.openTrees.settleLease(), true);
  assert.notDeepEqual(places(reader, '/b'), old);
  assert.ok(collectGarbage(other).bytesFreed > 0);
  assert.deepEqual(readFile(reader, '/b'), expected);
  assert.deepEqual(Buffer.from(view.bytes), expected);
  view.close();
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a fork can write while dedupe runs, and afterwards', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  const bytes = blocks(BLOCKS, 1);
  for (const path of ['/a', '/b']) writeFile(tree, path, bytes);
  const running = dedupeStore(engine);
  writeFile(tree, '/b', Buffer.from('during'), 5 * BLOCK_SIZE);
  await running;
  writeFile(tree, '/a', Buffer.from('after'), 9 * BLOCK_SIZE);
  const [a, b] = [Buffer.from(bytes), Buffer.from(bytes)];
  a.write('after', 9 * BLOCK_SIZE);
  b.write('during', 5 * BLOCK_SIZE);
  collectGarbage(engine);
  assert.deepEqual([readFile(tree, '/a'), readFile(tree, '/b')], [a, b]);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a damaged block is left alone and reported', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  for (const path of ['/a', '/b']) writeFile(tree, path, blocks(10, 1));
  engine.snapshot('one', 'frozen');
  engine.sealer.finish();
  const place = places(tree, '/b')[4]!.split(':').map(Number);
  await engine.close();
  const next = await scratch.open();
  const fd = next.blobs.files.writableDescriptor(next.blobs.files.of(place[0] as BlobId));
  next.system.pwrite(fd, Buffer.from('flipped'), 0, 7, place[1]! * BLOCK_SIZE);
  const report = await dedupeStore(next);
  assert.equal(report.damaged.length, 1);
  assert.equal(report.bytesShared, 9 * BLOCK_SIZE);
  assert.deepEqual(readFile(next.openTree('one'), '/a'), blocks(10, 1));
});

test('a blob that the kernel reads by itself stays until the kernel has stopped', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const other = await scratch.open();
  for (const name of ['one', 'two']) {
    const tree = engine.createEmpty(name);
    writeFile(tree, '/a', blocks(10, 1));
    engine.snapshot(name, `${name}-frozen`);
    tree.close();
  }
  const reader = engine.openTree('two-frozen');
  const { ino } = reader.fileSystem.open('/a', 0, 0).inode;
  const old = places(reader, '/a');
  const blob = Number(old[0]!.split(':')[0]) as BlobId;
  let passed: readonly (readonly [typeof ino, BlobId])[] = [[ino, blob]];
  reader.mount = { isKept: () => false, passedThrough: () => passed };
  assert.equal(engine.openTrees.settleLease(), true, 'the reader has what the tables say');
  await dedupeStore(other);
  assert.equal(collectGarbage(other).bytesFreed, 0);
  assert.equal(engine.openTrees.settleLease(), false);
  assert.equal(collectGarbage(other).bytesFreed, 0);
  assert.equal(engine.blobs.exists(blob), true);
  passed = [];
  assert.equal(engine.openTrees.settleLease(), true);
  assert.ok(collectGarbage(other).bytesFreed > 0);
  assert.notDeepEqual(places(reader, '/a'), old);
  assert.deepEqual(readFile(reader, '/a'), blocks(10, 1));
});

test('a fork follows changes in a layer that another process made by flattening', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open(undefined, {
    chainLayersMax: 100,
    commitMarkMs: Number.POSITIVE_INFINITY,
  });
  const other = await scratch.open(undefined, { chainLayersMax: 3 });
  const tree = engine.createEmpty('one');
  writeFile(tree, '/a', blocks(10, 1));
  for (let layer = 0; layer < 6; layer++) {
    writeFile(tree, `/${layer}`, Buffer.from('some'));
    engine.freeze(tree);
  }
  writeFile(tree, '/b', blocks(10, 1));
  engine.freeze(tree);
  assert.deepEqual(readFile(tree, '/b'), blocks(10, 1));
  const chain = engine.chains.lengthOf(tree.info);
  collectGarbage(other);
  assert.ok(engine.chains.lengthOf(tree.info) < chain, 'it was flattened');
  await dedupeStore(engine);
  assert.deepEqual(places(tree, '/b'), places(tree, '/a'));
  collectGarbage(engine);
  assert.deepEqual(readFile(tree, '/b'), blocks(10, 1));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});
