/** LayerBuilder: the tables and the disk at each stage, and after its process dies. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { BLOCK_SIZE, type BlockIndex, isFsError, type Name } from '../base/index.ts';
import { type InodeRecord, newInodeRecord } from '../meta/index.ts';
import { createSystem, FaultySystem } from '../sys/index.ts';
import { collectGarbage } from '../upkeep/index.ts';
import { StoreEngine } from './engine.ts';
import type { LayerBuilder } from './layer-builder.ts';

const SHA = Buffer.alloc(32, 7);

function record(builder: LayerBuilder, mode: number, more: Partial<InodeRecord> = {}): InodeRecord {
  return {
    ...newInodeRecord({ mode, uid: 0, gid: 0, nlink: 1 }, { seconds: 0, nanoseconds: 0 }),
    ...more,
    ...(more.blocks === undefined ? {} : { extentLayer: builder.layer }),
  };
}

function addRoot(builder: LayerBuilder): void {
  builder.putInode(builder.root, record(builder, 0o040755, { nlink: 2, parent: builder.root }));
}

function addFile(builder: LayerBuilder, name: string, bytes: Buffer): void {
  const ino = builder.newIno();
  const place = builder.storePacked(bytes, bytes.length);
  const count = Math.ceil(bytes.length / BLOCK_SIZE);
  builder.putRuns(ino, [{ logical: 0 as BlockIndex, count, ...place }]);
  builder.putInode(ino, record(builder, 0o100644, { size: bytes.length, blocks: count }));
  builder.putDentry(builder.root, name as Name, ino, 8);
}

function readFile(engine: StoreEngine, tree: string, path: string): Buffer {
  const { fileSystem } = engine.openTree(tree);
  const file = fileSystem.open(path, 0, 0);
  const bytes = Buffer.alloc(fileSystem.statFile(file).size);
  fileSystem.read(file, bytes, 0, bytes.length, 0);
  fileSystem.close(file);
  return bytes;
}

test('until it is finished, the layer is "building", locked and not listed; then it is a snapshot', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', 'somewhere');
  addRoot(builder);
  addFile(builder, 'a', seededBytes(1, 5000));
  assert.equal(engine.tables.layers.get(builder.layer)?.state, 'building');
  const lock = engine.layout.journalPath(builder.layer);
  assert.ok(existsSync(lock));
  const fd = engine.system.open(lock, 2);
  assert.equal(engine.system.tryLock(fd), false);
  engine.system.close(fd);
  assert.deepEqual(engine.list(), []);
  const tree = builder.finish();
  assert.equal(tree.kind, 'snapshot');
  assert.equal(tree.source, 'somewhere');
  assert.equal(engine.tables.layers.get(builder.layer)?.state, 'frozen');
  assert.ok(!existsSync(lock));
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['base'],
  );
  assert.deepEqual(
    [...engine.tables.blobs.entries()].map(([, { state }]) => state),
    ['sealed'],
  );
  assert.ok(readFile(engine, 'base', '/a').equals(seededBytes(1, 5000)));
  builder.abort();
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['base'],
  );
});

test('more rows than one transaction holds, and more inode numbers than one range, all arrive', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', '');
  addRoot(builder);
  const inos = new Set<number>();
  for (let index = 0; index < 5000; index++) {
    const ino = builder.newIno();
    inos.add(ino);
    builder.putInode(ino, record(builder, 0o100644));
    builder.putDentry(builder.root, `f${index}` as Name, ino, 8);
  }
  builder.finish();
  assert.equal(inos.size, 5000);
  assert.ok(!inos.has(builder.root));
  assert.equal(engine.openTree('base').fileSystem.readDirectoryNames('/').length, 5000);
});

test('runs of a file in many chunks come back as they were', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', '');
  addRoot(builder);
  const ino = builder.newIno();
  const runs = Array.from({ length: 3000 }, (_, index) => {
    const place = builder.storePacked(Buffer.from([1 + (index % 255)]), 1);
    return { logical: (index * 2) as BlockIndex, count: 1, ...place };
  });
  builder.putRuns(ino, runs);
  builder.putInode(ino, record(builder, 0o100644, { size: 6000 * BLOCK_SIZE, blocks: 3000 }));
  builder.putDentry(builder.root, 'a' as Name, ino, 8);
  builder.finish();
  assert.deepEqual(engine.tables.extents.load(builder.layer, ino), runs);
  const bytes = readFile(engine, 'base', '/a');
  for (let index = 0; index < 3000; index++) {
    assert.equal(bytes[index * 2 * BLOCK_SIZE], 1 + (index % 255));
    assert.equal(bytes[(index * 2 + 1) * BLOCK_SIZE], 0);
  }
});

test('packed blobs are closed at 64 MiB', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', '');
  addRoot(builder);
  const bytes = Buffer.alloc(1024 * 1024, 1);
  const blobs = new Set<number>();
  for (let count = 0; count < 65; count++) blobs.add(builder.storePacked(bytes, bytes.length).blob);
  assert.equal(blobs.size, 2);
  builder.finish();
  const lengths = [...engine.tables.blobs.entries()].map(([, { lengthBytes }]) => lengthBytes / bytes.length);
  assert.deepEqual(lengths, [64, 1]);
});

test('content is found while its row is queued, when it is stored, and in later builds', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('one', '');
  addRoot(builder);
  assert.equal(builder.findContent(SHA, 10), undefined);
  const place = builder.storePacked(Buffer.alloc(10, 1), 10);
  builder.rememberContent(SHA, 10, place);
  assert.deepEqual(builder.findContent(SHA, 10), place);
  assert.equal(builder.findContent(SHA, 11), undefined);
  await builder.settle();
  for (let count = 0; count < 3000; count++) builder.putInode(builder.newIno(), record(builder, 0o100644));
  assert.ok(engine.tables.contents.get(SHA, 10) !== undefined);
  assert.deepEqual(builder.findContent(SHA, 10), place);
  const meanwhile = engine.buildLayer('two', '');
  // The blob of the first build is not sealed yet: nobody else may rely on it.
  assert.equal(meanwhile.findContent(SHA, 10), undefined);
  builder.finish();
  assert.deepEqual(meanwhile.findContent(SHA, 10), place);
  meanwhile.abort();
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['one'],
  );
});

test('after an abort there is no row, no blob and no lock', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', '');
  addRoot(builder);
  addFile(builder, 'a', seededBytes(1, 5000));
  builder.rememberContent(SHA, 5000, builder.storePacked(seededBytes(2, 5000), 5000));
  for (let count = 0; count < 3000; count++) builder.putInode(builder.newIno(), record(builder, 0o100644));
  const finished = builder.createOwn();
  await finished.append(Buffer.alloc(100, 1), 100);
  finished.complete(100);
  finished.finish();
  const open = builder.createOwn();
  await open.append(Buffer.alloc(100, 1), 100);
  builder.abort();
  builder.abort();
  assert.deepEqual([...engine.tables.layers.entries()], []);
  assert.deepEqual([...engine.tables.blobs.entries()], []);
  assert.deepEqual([...engine.tables.contents.entries()], []);
  assert.deepEqual([...engine.tables.inodes.entries(builder.layer)], []);
  assert.deepEqual(engine.blobs.list(), []);
  assert.deepEqual(readdirSync(join(engine.directory, 'journals')), []);
});

test('a name that is taken at the start or by the end is EEXIST', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', '');
  addRoot(builder);
  engine.createEmpty('base').close();
  assert.throws(
    () => builder.finish(),
    (error) => isFsError(error, 'EEXIST'),
  );
  builder.abort();
  assert.throws(
    () => engine.buildLayer('base', ''),
    (error) => isFsError(error, 'EEXIST'),
  );
});

test('own blobs keep their holes and end at the last byte of the file', async (context) => {
  const engine = await scratchStore(context);
  const builder = engine.buildLayer('base', '');
  addRoot(builder);
  const own = builder.createOwn();
  own.skipTo(4 * BLOCK_SIZE);
  await own.append(Buffer.alloc(BLOCK_SIZE, 1), BLOCK_SIZE);
  own.skipTo(10 * BLOCK_SIZE);
  await own.append(Buffer.from('end'), 3);
  own.complete(20 * BLOCK_SIZE + 5);
  own.finish();
  builder.finish();
  const blob = engine.tables.blobs.get(own.id);
  assert.deepEqual([blob?.lengthBytes, blob?.lengthBlocks], [20 * BLOCK_SIZE + 5, 21]);
  assert.equal(engine.blobs.lengthBytes(own.id), 20 * BLOCK_SIZE + 5);
  assert.ok(engine.blobs.allocatedBytes(own.id) <= 4 * BLOCK_SIZE);
  const bytes = Buffer.alloc(20 * BLOCK_SIZE + 5);
  engine.blobs.read(own.id, 0, bytes, 0, bytes.length);
  assert.equal(bytes.indexOf(1), 4 * BLOCK_SIZE);
  assert.equal(bytes.toString('latin1', 10 * BLOCK_SIZE, 10 * BLOCK_SIZE + 3), 'end');
});

test('when the process of a build dies at any call, gc removes what it left', async (context) => {
  const counting = new FaultySystem(createSystem());
  const build = async (engine: StoreEngine): Promise<void> => {
    const builder = engine.buildLayer('base', '');
    addRoot(builder);
    addFile(builder, 'a', seededBytes(1, 5000));
    const own = builder.createOwn();
    await own.append(seededBytes(2, 9000), 9000);
    own.complete(9000);
    own.finish();
    await builder.sealOwn();
    builder.finish();
  };
  const first = await scratchStore(context, { system: counting });
  const before = counting.callCount;
  await build(first);
  const calls = counting.callCount - before;
  await first.close();
  assert.ok(calls > 10);
  for (let at = 0; at < calls; at++) {
    const system = new FaultySystem(createSystem());
    const engine = await scratchStore(context, { system });
    const start = system.callCount;
    system.plan = (_operation, index) => (index === start + at ? { kind: 'crash' } : undefined);
    await assert.rejects(build(engine), /the process is dead/);
    // The process that "died" is this one, which lives on and keeps its lock. The kernel would have released it, so
    // the test removes the lock file.
    for (const name of readdirSync(join(engine.directory, 'journals'))) {
      rmSync(join(engine.directory, 'journals', name));
    }
    await engine.close().catch(() => undefined);
    await engine.tables.close();
    const again = await StoreEngine.open(engine.directory);
    try {
      collectGarbage(again);
      collectGarbage(again);
      if (again.list().length === 0) {
        assert.deepEqual([...again.tables.layers.entries()], [], `call ${at}`);
        assert.deepEqual([...again.tables.blobs.entries()], [], `call ${at}`);
        assert.deepEqual(again.blobs.list(), [], `call ${at}`);
      } else {
        assert.ok(readFile(again, 'base', '/a').equals(seededBytes(1, 5000)), `call ${at}`);
      }
    } finally {
      await again.close();
    }
  }
});
