/**
 * The rules for memory that JavaScript sees (docs/memory-maps.md), one test each; as root the tests also compare
 * physical frame numbers.
 */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { type Address, BLOCK_SIZE, FsError } from '../base/index.ts';
import { processMapBudget, type View } from '../mapping/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { createSystem } from '../sys/index.ts';
import type { OpenFile } from './open-file.ts';

const { O_CREAT, O_RDONLY, O_RDWR } = constants;
const system = createSystem();
const noMaps = system.canMap ? false : 'this system has no memory maps';
const noFrames = canSeeFrames() ? false : 'physical frame numbers need root';

function canSeeFrames(): boolean {
  if (!system.canMap || process.getuid?.() !== 0) return false;
  const at = system.reserve(BLOCK_SIZE);
  system.mapZeros(at, BLOCK_SIZE);
  new Uint8Array(system.bufferAt(at, BLOCK_SIZE))[0] = 1;
  return system.frameNumbers(at, 1)[0] !== 0;
}

/** A file of `blocks` blocks, block n full of byte n % 251 + 1. */
function makeFile(tree: Tree, path: string, blocks: number): OpenFile {
  const file = tree.fileSystem.open(path, O_CREAT | O_RDWR, 0o644);
  const bytes = Buffer.alloc(blocks * BLOCK_SIZE);
  for (let block = 0; block < blocks; block++) {
    bytes.fill((block % 251) + 1, block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
  }
  tree.fileSystem.write(file, bytes, 0, bytes.length, 0);
  return file;
}

function put(tree: Tree, file: OpenFile, position: number, byte: number, length = 1): void {
  tree.fileSystem.write(file, Buffer.alloc(length, byte), 0, length, position);
}

/** Reads every page, which makes it present, and returns the frame of each. */
function framesOf(view: View, pages: number): number[] {
  const { bytes } = view;
  let sum = 0;
  for (let page = 0; page < pages; page++) sum += bytes[page * BLOCK_SIZE] ?? 0;
  assert.ok(sum >= 0);
  const frames = system.frameNumbers(view.address, pages);
  for (const frame of frames) assert.notEqual(frame, 0, 'the page is present');
  return frames;
}

async function scratchFork(context: TestContext): Promise<{ engine: StoreEngine; tree: Tree }> {
  const engine = await scratchStore(context);
  return { engine, tree: engine.createEmpty('work') };
}

test('a view follows writes, in place and by copy on write', { skip: noMaps }, async (context) => {
  const { engine, tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 4);
  const view = tree.fileSystem.map(file);
  put(tree, file, 10, 99);
  assert.equal(view.bytes[10], 99);
  engine.snapshot('work', 'frozen');
  put(tree, file, 11, 98);
  assert.deepEqual([view.bytes[10], view.bytes[11], view.bytes[12], view.bytes[BLOCK_SIZE]], [99, 98, 1, 2]);
});

test('a stray store changes that page of that view only', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 2);
  const stray = tree.fileSystem.map(file);
  const other = tree.fileSystem.map(file);
  stray.bytes[5] = 77;
  assert.equal(stray.bytes[5], 77);
  assert.equal(other.bytes[5], 1);
  const bytes = Buffer.alloc(1);
  tree.fileSystem.read(file, bytes, 0, 1, 5);
  assert.equal(bytes[0], 1);
  put(tree, file, BLOCK_SIZE, 50);
  assert.equal(stray.bytes[BLOCK_SIZE], 50, 'the other page still follows the file');
});

test('after close a view shows zeros, and its addresses stay taken', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 2);
  const view = tree.fileSystem.map(file);
  const { bytes } = view;
  assert.equal(bytes[0], 1);
  view.close();
  view.close();
  assert.equal(bytes[0], 0);
  put(tree, file, 0, 60);
  assert.equal(bytes[0], 0, 'a closed view no longer follows');
});

test('closing the fork ends its views', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 2);
  const { bytes } = tree.fileSystem.map(file);
  tree.close();
  assert.equal(bytes[0], 0);
});

test('memory goes back when the last buffer is collected, and not before', {
  skip: noMaps,
}, async (context) => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 2);
  const budget = processMapBudget(() => system.mapCountMax());
  // Views of earlier tests are collected first, so that only this test's view counts.
  for (let last = -1; last !== budget.usedCount; ) {
    last = budget.usedCount;
    collect();
    await sleep(20);
  }
  const before = budget.usedCount;
  tree.fileSystem.map(makeFile(tree, '/empty', 0));
  assert.ok(budget.usedCount > before, 'an empty file takes addresses too');
  let kept: Uint8Array | undefined = tree.fileSystem.map(file).bytes;
  for (let round = 0; round < 5; round++) {
    collect();
    await sleep(5);
  }
  assert.equal(kept[0], 1, 'the array keeps the memory alive although the View was dropped');
  assert.ok(budget.usedCount > before);
  kept = undefined;
  for (let round = 0; round < 100 && budget.usedCount > before; round++) {
    collect();
    await sleep(10);
  }
  assert.equal(budget.usedCount, before, 'views dropped without close give their mappings back');
});

test('a view cannot be transferred to another thread', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const view = tree.fileSystem.map(makeFile(tree, '/file', 1));
  const { buffer } = view;
  try {
    structuredClone(buffer, { transfer: [buffer] });
  } catch {
    // Newer versions of Node refuse, Node 20 copies. The view must be intact either way.
  }
  assert.equal(view.bytes[0], 1);
  assert.equal(buffer.byteLength, BLOCK_SIZE);
});

test('growing within the reserve shows the new bytes; beyond it, a new view is needed', {
  skip: noMaps,
}, async (context) => {
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 1);
  const plain = tree.fileSystem.map(file);
  const roomy = tree.fileSystem.map(file, { reserveBytes: 4 * BLOCK_SIZE });
  assert.equal(roomy.bytes[2 * BLOCK_SIZE], 0, 'beyond the end there are zeros');
  put(tree, file, 2 * BLOCK_SIZE, 42);
  assert.equal(roomy.bytes[2 * BLOCK_SIZE], 42);
  assert.equal(plain.bytes.length, BLOCK_SIZE);
  assert.equal(tree.fileSystem.map(file).bytes[2 * BLOCK_SIZE], 42);
});

test('shrinking shows zeros beyond the new end, also within its last page', {
  skip: noMaps,
}, async (context) => {
  const { engine, tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 4);
  const view = tree.fileSystem.map(file);
  tree.fileSystem.truncateFile(file, BLOCK_SIZE + 100);
  assert.deepEqual(
    [view.bytes[BLOCK_SIZE + 99], view.bytes[BLOCK_SIZE + 100], view.bytes[3 * BLOCK_SIZE]],
    [2, 0, 0],
  );
  engine.snapshot('work', 'frozen');
  tree.fileSystem.truncateFile(file, 10);
  assert.deepEqual([view.bytes[9], view.bytes[10], view.bytes[BLOCK_SIZE]], [1, 0, 0]);
  tree.fileSystem.truncateFile(file, 3 * BLOCK_SIZE);
  assert.deepEqual([view.bytes[9], view.bytes[10], view.bytes[2 * BLOCK_SIZE]], [1, 0, 0]);
});

test('a punched hole shows as zeros in a live view', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 4);
  const view = tree.fileSystem.map(file);
  tree.fileSystem.punch(file, 100, 2 * BLOCK_SIZE);
  assert.deepEqual(
    [view.bytes[99], view.bytes[100], view.bytes[BLOCK_SIZE], view.bytes[2 * BLOCK_SIZE + 100]],
    [1, 0, 0, 3],
  );
});

test('an empty file maps to an empty buffer', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const view = tree.fileSystem.map(tree.fileSystem.open('/empty', O_CREAT | O_RDWR, 0o644));
  assert.equal(view.bytes.length, 0);
  view.close();
});

test('a file over 4 GiB comes as consecutive buffers', { skip: noMaps }, async (context) => {
  const { tree } = await scratchFork(context);
  const file = tree.fileSystem.open('/large', O_CREAT | O_RDWR, 0o644);
  const far = 5 * 1024 ** 3;
  put(tree, file, 0, 1);
  put(tree, file, far, 2);
  const view = tree.fileSystem.map(file);
  assert.throws(() => view.buffer, { code: 'ERANGE' });
  assert.equal(view.buffers.length, 2);
  const total = view.buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
  assert.equal(total, far + 1);
  const last = new Uint8Array(view.buffers[1]!);
  assert.equal(new Uint8Array(view.buffers[0]!)[0], 1);
  assert.equal(last[last.length - 1], 2);
  put(tree, file, far, 3);
  assert.equal(last[last.length - 1], 3);
  view.close();
});

test('an unlinked file stays mapped, and its blocks are not reused meanwhile', {
  skip: noMaps,
}, async (context) => {
  const { tree } = await scratchFork(context);
  const file = makeFile(tree, '/file', 8);
  const view = tree.fileSystem.map(file);
  tree.fileSystem.unlink('/file');
  tree.fileSystem.close(file);
  tree.commitMark();
  makeFile(tree, '/other', 64);
  for (let block = 0; block < 8; block++) assert.equal(view.bytes[block * BLOCK_SIZE], block + 1);
});

test('map fails with EISDIR, EBADF, and ENOTSUP where there is no mmap', async (context) => {
  const { tree } = await scratchFork(context);
  const { fileSystem } = tree;
  const directory = fileSystem.open('/', O_RDONLY, 0);
  const closed = makeFile(tree, '/file', 1);
  fileSystem.close(closed);
  assert.throws(() => fileSystem.map(directory), { code: 'EISDIR' });
  assert.throws(() => fileSystem.map(closed), { code: 'EBADF' });
  const buffered = await scratchStore(context, { system: createSystem('buffered') });
  const plain = buffered.createEmpty('work');
  assert.throws(() => plain.fileSystem.map(makeFile(plain, '/file', 1)), { code: 'ENOTSUP' });
});

test('writing every second page of 512 MiB keeps the map within its share of mappings', {
  skip: noMaps,
}, async (context) => {
  const { engine, tree } = await scratchFork(context);
  const blocks = 131_072;
  const file = tree.fileSystem.open('/large', O_CREAT | O_RDWR, 0o644);
  const piece = Buffer.alloc(4 * 1024 * 1024, 1);
  for (let at = 0; at < blocks * BLOCK_SIZE; at += piece.length)
    tree.fileSystem.write(file, piece, 0, piece.length, at);
  engine.snapshot('work', 'frozen');
  const view = tree.fileSystem.map(file);
  const one = Buffer.alloc(1, 2);
  for (let block = 0; block < blocks; block += 2) tree.fileSystem.write(file, one, 0, 1, block * BLOCK_SIZE);
  const budget = processMapBudget(() => system.mapCountMax());
  assert.ok(view.pieceCount <= budget.limit, `${view.pieceCount} pieces`);
  assert.ok(budget.usedCount <= budget.limit);
  assert.ok(engine.counts.gatheredBlocks > 0, 'neighbours were copied, and counted');
  const { bytes } = view;
  for (let block = 0; block < blocks; block++) {
    if (bytes[block * BLOCK_SIZE] !== (block % 2 === 0 ? 2 : 1))
      assert.fail(`block ${block} shows a wrong byte`);
    if (bytes[block * BLOCK_SIZE + 1] !== 1) assert.fail(`block ${block} shows a wrong second byte`);
  }
  const second = tree.fileSystem.map(file);
  assert.equal(second.bytes[2 * BLOCK_SIZE], 2);
  view.close();
  second.close();
});

test('a file in too many pieces cannot be mapped from a snapshot: ENOMEM', {
  skip: noMaps,
}, async (context) => {
  const { engine, tree } = await scratchFork(context);
  const file = tree.fileSystem.open('/holes', O_CREAT | O_RDWR, 0o644);
  const budget = processMapBudget(() => system.mapCountMax());
  const runs = Math.ceil(budget.limit / 2) + 10;
  for (let run = 0; run < runs; run++) put(tree, file, run * 2 * BLOCK_SIZE, 1);
  engine.snapshot('work', 'frozen');
  const frozen = engine.openTree('frozen');
  const opened = frozen.fileSystem.open('/holes', O_RDONLY, 0);
  assert.throws(
    () => frozen.fileSystem.map(opened),
    (error) => error instanceof FsError && error.code === 'ENOMEM',
  );
  const gathered = tree.fileSystem.map(file);
  assert.equal(gathered.bytes[2 * BLOCK_SIZE * (runs - 1)], 1, 'a fork copies the pieces together instead');
});

test('forks share frames page by page until one writes', {
  skip: noFrames,
}, async (context) => {
  const { engine, tree } = await scratchFork(context);
  makeFile(tree, '/file', 8);
  engine.snapshot('work', 'base');
  const forks = ['a', 'b', 'c'].map((name) => engine.fork('base', name));
  const files = forks.map((fork) => fork.fileSystem.open('/file', O_RDWR, 0));
  const views = forks.map((fork, index) => fork.fileSystem.map(files[index]!));
  const before = views.map((view) => framesOf(view, 8));
  assert.deepEqual(before[0], before[1]);
  assert.deepEqual(before[1], before[2]);
  put(forks[1]!, files[1]!, 3 * BLOCK_SIZE + 7, 200);
  const after = views.map((view) => framesOf(view, 8));
  assert.deepEqual(after[0], before[0], 'every other sharer keeps its frames');
  assert.deepEqual(after[2], before[2]);
  for (let page = 0; page < 8; page++) {
    if (page === 3) assert.notEqual(after[1]![page], before[1]![page]);
    else assert.equal(after[1]![page], before[1]![page], 'sharing is per page');
  }
  assert.equal(views[1]!.bytes[3 * BLOCK_SIZE + 7], 200, 'the older view sees the write');
  assert.equal(views[0]!.bytes[3 * BLOCK_SIZE + 7], 4);
});

test('a reflinked file shares its frames', { skip: noFrames }, async (context) => {
  const { tree } = await scratchFork(context);
  const source = makeFile(tree, '/source', 4);
  const target = tree.fileSystem.open('/target', O_CREAT | O_RDWR, 0o644);
  tree.fileSystem.reflink(source, target);
  const frames = [source, target].map((file) => framesOf(tree.fileSystem.map(file), 4));
  assert.deepEqual(frames[0], frames[1]);
  put(tree, target, 0, 90);
  const after = [source, target].map((file) => framesOf(tree.fileSystem.map(file), 4));
  assert.notEqual(after[0]![0], after[1]![0]);
  assert.deepEqual(after[0]!.slice(1), after[1]!.slice(1));
});

test('a descriptor and a map made before copy-up see every later write', {
  skip: noMaps,
}, async (context) => {
  const { engine, tree } = await scratchFork(context);
  makeFile(tree, '/foo', 2);
  engine.snapshot('work', 'lower');
  const fork = engine.fork('lower', 'upper');
  const { fileSystem } = fork;
  const reader = fileSystem.open('/foo', O_RDONLY, 0);
  const mapped = fileSystem.map(reader);
  const inode = fileSystem.statFile(reader).ino;
  const writer = fileSystem.open('/foo', O_RDWR, 0);
  put(fork, writer, 0, 33);
  const bytes = Buffer.alloc(1);
  fileSystem.read(reader, bytes, 0, 1, 0);
  assert.equal(bytes[0], 33);
  assert.equal(mapped.bytes[0], 33);
  assert.equal(fileSystem.map(reader).bytes[0], 33);
  assert.equal(fileSystem.statFile(reader).ino, inode);
  assert.equal(fileSystem.stat('/foo', true).ino, inode);
});

test('the frame of an address that is not mapped is 0', { skip: noFrames }, () => {
  const at: Address = system.reserve(BLOCK_SIZE);
  assert.deepEqual(system.frameNumbers(at, 1), [0]);
  system.unmap(at, BLOCK_SIZE);
});
