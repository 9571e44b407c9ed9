/** Garbage collection: what it frees, what it must keep, and which processes it waits for. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { until } from '../../testing/pace/until.ts';
import {
  diskBytes,
  patternBytes,
  problemsOf,
  readFile,
  SharedStore,
  writeFile,
} from '../../testing/stores/shared-store.ts';
import { BLOCK_SIZE, type BlobId, type Ino, type LayerId } from '../base/index.ts';
import { newInodeRecord } from '../meta/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { CrashedError } from '../sys/index.ts';
import { collectGarbage } from './gc.ts';

const MIB = 1024 * 1024;

function layerCount(engine: StoreEngine): number {
  return [...engine.tables.layers.entries()].length;
}

/** The rows of all layers in the tables. */
function layerRows(engine: StoreEngine, layer: LayerId): number {
  const { inodes, dentries, extents } = engine.tables;
  return [inodes.inos(layer), dentries.entries(layer), extents.forLayer(layer)].flatMap((rows) => [...rows])
    .length;
}

test('a store without anything to collect is left as it is', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  writeFile(tree, '/a', patternBytes(10_000, 1));
  const epoch = engine.tables.counters.get('epoch');
  const report = collectGarbage(engine);
  assert.equal(report.layersRemoved + report.blobsRemoved + report.rangesPunched + report.filesRemoved, 0);
  assert.equal(engine.tables.counters.get('epoch'), epoch);
  assert.deepEqual(readFile(tree, '/a'), patternBytes(10_000, 1));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a dropped fork gives its rows and its disk space back in one collection', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const keep = engine.createEmpty('keep');
  writeFile(keep, '/a', patternBytes(MIB, 1));
  const gone = engine.createEmpty('gone');
  writeFile(gone, '/b', patternBytes(4 * MIB, 2));
  const { layer } = gone.info;
  gone.close();
  engine.drop('gone');
  const before = diskBytes(engine);
  const report = collectGarbage(engine);
  assert.equal(report.layersRemoved, 1);
  assert.equal(report.blobsRemoved, 1);
  assert.ok(report.bytesFreed >= 4 * MIB, `${report.bytesFreed} bytes`);
  assert.equal(before - diskBytes(engine), report.bytesFreed);
  assert.equal(engine.tables.layers.get(layer), undefined);
  assert.equal(layerRows(engine, layer), 0);
  assert.deepEqual([...engine.tables.dropped.entries()], []);
  assert.deepEqual(readFile(keep, '/a'), patternBytes(MIB, 1));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('a snapshot that forks stand on keeps its layers until the last of them is gone', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  engine.snapshot('one', 'base');
  const fork = engine.fork('base', 'fork');
  one.close();
  engine.drop('one');
  engine.drop('base');
  collectGarbage(engine);
  assert.deepEqual(readFile(fork, '/a'), patternBytes(MIB, 1));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  fork.close();
  engine.drop('fork');
  collectGarbage(engine);
  assert.equal(layerCount(engine), 0);
  assert.deepEqual(engine.blobs.list(), []);
  assert.deepEqual([...engine.tables.blobs.entries()], []);
});

test('blocks of a sealed blob that no layer names any more are punched, others stay', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  if (engine.system.kind !== 'native') return;
  // Two files in one blob: a fork keeps the second by a reflink, and the layer that holds both is dropped.
  const one = engine.createEmpty('one');
  writeFile(one, '/first', patternBytes(2 * MIB, 1));
  writeFile(one, '/second', patternBytes(2 * MIB, 2));
  engine.snapshot('one', 'base');
  const other = engine.createEmpty('other');
  const source = one.fileSystem.open('/second', 0, 0);
  const target = other.fileSystem.open('/copy', 0o102, 0o644);
  other.fileSystem.reflink(source, target, one.fileSystem);
  one.fileSystem.close(source);
  other.fileSystem.close(target);
  one.close();
  engine.drop('one');
  engine.drop('base');
  const before = diskBytes(engine);
  const report = collectGarbage(engine);
  assert.equal(report.rangesPunched > 0, true);
  assert.ok(before - diskBytes(engine) >= 2 * MIB);
  assert.deepEqual(readFile(other, '/copy'), patternBytes(2 * MIB, 2));
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  const again = collectGarbage(engine);
  assert.equal(again.rangesPunched, 0, 'punched ranges are not punched again');
});

test('a memory map of this process keeps its bytes through a collection', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  if (!engine.system.canMap) return;
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  engine.snapshot('one', 'base');
  one.close();
  engine.drop('one');
  const base = engine.openTree('base');
  const file = base.fileSystem.open('/a', 0, 0);
  const view = base.fileSystem.map(file);
  engine.drop('base');
  const held = collectGarbage(engine);
  assert.equal(held.blobsRemoved, 0);
  assert.equal(held.layersRemoved, 0);
  assert.deepEqual(held.waitingFor, [process.pid]);
  assert.ok(held.blobsWaiting > 0 && held.layersWaiting > 0);
  assert.deepEqual(Buffer.from(view.bytes), patternBytes(MIB, 1));
  assert.deepEqual(readFile(base, '/a'), patternBytes(MIB, 1));
  view.close();
  base.close();
  const freed = collectGarbage(engine);
  assert.equal(freed.blobsWaiting, 0);
  assert.equal(layerCount(engine), 0);
  assert.deepEqual(engine.blobs.list(), []);
});

test('an unlinked file that is open stays readable through a collection', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  const file = one.fileSystem.open('/a', 0, 0);
  one.fileSystem.unlink('/a');
  collectGarbage(engine);
  const bytes = Buffer.alloc(MIB);
  one.fileSystem.read(file, bytes, 0, MIB, 0);
  assert.deepEqual(bytes, patternBytes(MIB, 1));
  one.fileSystem.close(file);
});

test('blocks of a writable layer are reused only once a durable commit mark covers their release', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  one.commitMark();
  one.fileSystem.unlink('/a');
  const active = one.stack.activeBlob();
  assert.equal(active.pendingBlocks, MIB / BLOCK_SIZE);
  const used = active.lengthBlocks;
  writeFile(one, '/b', patternBytes(MIB, 2));
  assert.equal(active.lengthBlocks, used + MIB / BLOCK_SIZE, 'the freed blocks were not taken');
  one.commitMark();
  assert.equal(active.pendingBlocks, 0);
  const marked = active.lengthBlocks;
  writeFile(one, '/c', patternBytes(MIB, 3));
  assert.ok(active.lengthBlocks <= marked, 'the freed blocks were taken');
});

test('a running import holds back every drop; a dead one is removed with its rows and blobs', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  engine.createEmpty('gone').close();
  engine.drop('gone');
  const builder = engine.buildLayer('import', '/somewhere');
  const place = builder.storePacked(patternBytes(BLOCK_SIZE, 1), BLOCK_SIZE);
  const held = collectGarbage(engine);
  assert.equal(held.isImportRunning, true);
  assert.equal(held.layersRemoved, 0);
  assert.equal(engine.blobs.exists(place.blob), true);
  builder.abort();
  const freed = collectGarbage(engine);
  assert.equal(freed.isImportRunning, false);
  assert.equal(freed.layersRemoved, 1);
  assert.deepEqual(problemsOf(engine), []);
});

test('a collection removes everything of an import that died', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  const builder = engine.buildLayer('import', '/somewhere');
  builder.storePacked(patternBytes(BLOCK_SIZE, 1), BLOCK_SIZE);
  await scratch.crash(engine, system);
  const next = await scratch.open();
  assert.equal(layerCount(next), 1);
  const report = collectGarbage(next);
  assert.equal(report.layersRemoved, 1);
  assert.equal(layerCount(next), 0);
  assert.deepEqual(next.blobs.list(), []);
  assert.deepEqual([...next.tables.blobs.entries()], []);
  assert.deepEqual(problemsOf(next), []);
});

test('a later import does not find dropped content', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const hash = Buffer.alloc(32, 7);
  const bytes = patternBytes(BLOCK_SIZE, 1);
  const builder = engine.buildLayer('import', '/somewhere');
  builder.rememberContent(hash, BLOCK_SIZE, builder.storePacked(bytes, BLOCK_SIZE));
  builder.putInode(builder.root, directoryRecord(builder.root));
  builder.finish();
  assert.notEqual(engine.tables.contents.get(hash, BLOCK_SIZE), undefined);
  engine.drop('import');
  collectGarbage(engine);
  assert.equal(engine.tables.contents.get(hash, BLOCK_SIZE), undefined);
});

test('the journal of a dead owner is stored before anything is dropped', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  engine.snapshot('one', 'base');
  const other = engine.createEmpty('other');
  const source = one.fileSystem.open('/a', 0, 0);
  const target = other.fileSystem.open('/copy', 0o102, 0o644);
  other.fileSystem.reflink(source, target, one.fileSystem);
  await scratch.crash(engine, system);
  const next = await scratch.open();
  next.drop('one');
  next.drop('base');
  collectGarbage(next);
  assert.deepEqual(readFile(next.openTree('other'), '/copy'), patternBytes(MIB, 1));
  assert.deepEqual(problemsOf(next, { scrub: true }), []);
});

test('a process undrops a block that only its journal names before it moves its lease up', async () => {
  await using scratch = new SharedStore();
  const [a, b] = [await scratch.open(), await scratch.open()];
  const one = a.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  a.snapshot('one', 'base');
  const other = a.createEmpty('other');
  const source = one.fileSystem.open('/a', 0, 0);
  const target = other.fileSystem.open('/copy', 0o102, 0o644);
  other.fileSystem.reflink(source, target, one.fileSystem);
  one.close();
  a.drop('one');
  a.drop('base');
  // The other engine sees no row that names the block, and drops the block.
  const dropping = collectGarbage(b);
  assert.ok(dropping.blobsWaiting > 0);
  assert.deepEqual(dropping.waitingFor, [process.pid]);
  const blob = other.stack.tables.extents.load(
    other.info.layer,
    other.fileSystem.stat('/copy', true).ino as Ino,
  );
  assert.equal(blob, undefined, 'no row names the block yet');
  const named = a.tables.blobs.entries().next().value![0];
  assert.notEqual(b.tables.dropped.get(named), undefined);
  assert.equal(a.openTrees.settleLease(), true);
  b.tables.renew();
  assert.equal(b.tables.dropped.get(named), undefined);
  collectGarbage(b);
  assert.equal(b.blobs.exists(named), true);
  assert.deepEqual(readFile(other, '/copy'), patternBytes(MIB, 1));
  assert.deepEqual(problemsOf(a, { scrub: true }), []);
});

test('a dropped block is undropped when a fork reflinks it, or a fork that names it is opened', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  engine.snapshot('one', 'base');
  const [blob] = engine.tables.blobs.entries().next().value!;
  const drop = (ranges: { start: number; end: number }[]): void =>
    engine.tables.transaction(() => engine.tables.dropped.put(blob, { epoch: 1, ranges }));
  const isDropped = (): boolean => engine.tables.dropped.get(blob) !== undefined;
  const two = engine.createEmpty('two');
  const copy = (path: string): void => {
    const source = one.fileSystem.open('/a', 0, 0);
    const target = two.fileSystem.open(path, 0o102, 0o644);
    two.fileSystem.reflink(source, target, one.fileSystem);
    one.fileSystem.close(source);
    two.fileSystem.close(target);
  };
  drop([]);
  copy('/x');
  assert.equal(isDropped(), false, 'all of the blob');
  drop([{ start: 10, end: 11 }]);
  copy('/y');
  assert.equal(isDropped(), false, 'a block of the file');
  drop([{ start: 256, end: 300 }]);
  copy('/z');
  assert.equal(isDropped(), true, 'other blocks stay dropped');
  two.close();
  drop([{ start: 10, end: 11 }]);
  engine.openTree('two');
  assert.equal(isDropped(), false, 'opening');
});

test('the lease of a process that opened before the drop holds the space, a later lease does not', async () => {
  await using scratch = new SharedStore();
  const [a, b] = [await scratch.open(), await scratch.open()];
  const one = a.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  a.snapshot('one', 'base');
  one.close();
  a.drop('one');
  const reader = b.openTree('base');
  a.drop('base');
  assert.equal(collectGarbage(a).blobsRemoved, 0);
  assert.deepEqual(readFile(reader, '/a'), patternBytes(MIB, 1));
  assert.equal(b.openTrees.settleLease(), false, 'a dropped tree is open');
  reader.close();
  const later = b.createEmpty('later');
  const report = collectGarbage(a);
  assert.equal(report.blobsWaiting, 0);
  assert.ok(report.bytesFreed >= MIB);
  later.close();
});

test('blocks that were dropped earlier are not freed while an import runs', async () => {
  await using scratch = new SharedStore();
  const [a, b] = [await scratch.open(), await scratch.open()];
  const one = a.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  a.snapshot('one', 'base');
  one.close();
  a.drop('one');
  const reader = b.openTree('base');
  a.drop('base');
  collectGarbage(a);
  reader.close();
  const builder = a.buildLayer('import', '/somewhere');
  const held = collectGarbage(a);
  assert.ok(held.isImportRunning && held.blobsWaiting > 0 && held.layersWaiting > 0);
  assert.deepEqual([held.blobsRemoved, held.layersRemoved], [0, 0]);
  builder.abort();
  const freed = collectGarbage(a);
  assert.deepEqual([freed.blobsWaiting, freed.layersWaiting], [0, 0]);
  assert.equal(freed.blobsRemoved > 0 && freed.layersRemoved > 0, true);
});

test('dropped blobs and blocks are kept if rows name them after all', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  engine.snapshot('one', 'base');
  one.close();
  const [blob] = engine.tables.blobs.entries().next().value!;
  for (const ranges of [[], [{ start: 0, end: 5 }]]) {
    engine.tables.transaction(() => engine.tables.dropped.put(blob, { epoch: 0, ranges }));
    const report = collectGarbage(engine);
    assert.deepEqual([report.blobsRemoved, report.rangesPunched], [0, 0]);
    assert.equal(engine.tables.dropped.get(blob), undefined);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  }
});

test('a process with open forks moves its lease up by itself within seconds', async () => {
  await using scratch = new SharedStore();
  const [a, b] = [await scratch.open(), await scratch.open()];
  const one = b.createEmpty('one');
  writeFile(one, '/a', patternBytes(BLOCK_SIZE, 1));
  writeFile(a.createEmpty('gone'), '/a', patternBytes(MIB, 2));
  a.openTreeOf('gone')!.close();
  a.drop('gone');
  assert.ok(collectGarbage(a).blobsWaiting > 0);
  let bytesFreed = 0;
  await until(() => {
    const report = collectGarbage(a);
    bytesFreed += report.bytesFreed;
    return report.blobsWaiting === 0;
  }, 'gc waits for no lease');
  assert.ok(bytesFreed >= MIB);
  assert.deepEqual(readFile(one, '/a'), patternBytes(BLOCK_SIZE, 1));
});

test('unsealed blobs of a dead process are sealed', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(MIB, 1));
  engine.snapshot('one', 'base');
  await scratch.crash(engine, system);
  const next = await scratch.open();
  assert.deepEqual(statesOf(next), ['frozen', 'active']);
  assert.equal(collectGarbage(next).blobsSealed, 1);
  assert.deepEqual(statesOf(next), ['sealed', 'active']);
  assert.deepEqual(
    [...next.tables.layers.entries()].flatMap(([, { unsealedBlobs }]) => unsealedBlobs),
    [],
  );
});

function statesOf(engine: StoreEngine): string[] {
  return [...engine.tables.blobs.entries()].map(([, { state }]) => state);
}

test('files without a row are removed, other files are not touched', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(BLOCK_SIZE, 1));
  const stray = 0x7777 as BlobId;
  engine.blobs.files.create(stray);
  const journal = engine.layout.journalPath(9999 as LayerId);
  writeFileSync(journal, 'left');
  writeFileSync(`${engine.layout.journalsDirectory}/notes.txt`, 'mine');
  const own = engine.layout.journalPath(one.info.layer);
  assert.equal(collectGarbage(engine).filesRemoved, 2);
  assert.equal(engine.blobs.exists(stray), false);
  assert.equal(existsSync(journal), false);
  assert.equal(existsSync(own), true);
  assert.ok(readdirSync(engine.layout.journalsDirectory).includes('notes.txt'));
});

test('nothing is freed while the journal of a fork cannot be read', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  writeFile(engine.createEmpty('one'), '/a', patternBytes(BLOCK_SIZE, 1));
  engine.createEmpty('gone').close();
  engine.drop('gone');
  await scratch.crash(engine, system);
  const faulty = await scratch.openFaulty();
  const path = engine.layout.journalPath(1 as LayerId);
  let isBroken = true;
  faulty.system.plan = (operation, _index, at) =>
    isBroken && operation === 'pread' && at === path ? { kind: 'error', code: 'EIO' } : undefined;
  const held = collectGarbage(faulty.engine);
  assert.equal(held.unreadableForks.length, 1);
  assert.match(held.unreadableForks[0]!, /^one: EIO/);
  assert.equal(held.layersRemoved, 0);
  isBroken = false;
  const freed = collectGarbage(faulty.engine);
  assert.deepEqual(freed.unreadableForks, []);
  assert.equal(freed.layersRemoved, 1);
});

test('the next collection continues one that was cut short at any unlink', async () => {
  for (let unlinks = 0; unlinks < 6; unlinks++) {
    await using scratch = new SharedStore();
    const { engine, system } = await scratch.openFaulty();
    for (const name of ['x', 'y']) {
      const tree = engine.createEmpty(name);
      writeFile(tree, '/a', patternBytes(MIB, 1));
      tree.close();
      engine.drop(name);
    }
    let left = unlinks;
    system.plan = (operation) => (operation === 'unlink' && left-- === 0 ? { kind: 'crash' } : undefined);
    assert.throws(() => collectGarbage(engine), CrashedError);
    await scratch.crash(engine, system);
    const next = await scratch.open();
    assert.deepEqual(problemsOf(next), []);
    collectGarbage(next);
    assert.equal(layerCount(next), 0);
    assert.deepEqual(next.blobs.list(), []);
    assert.deepEqual([...next.tables.blobs.entries()], []);
    assert.deepEqual([...next.tables.dropped.entries()], []);
    assert.deepEqual(problemsOf(next), []);
  }
});

function directoryRecord(root: number): Parameters<ReturnType<StoreEngine['buildLayer']>['putInode']>[1] {
  const now = { seconds: 0, nanoseconds: 0 };
  return { ...newInodeRecord({ mode: 0o040755, uid: 0, gid: 0, nlink: 2 }, now), parent: root as never };
}

test('a living process keeps its fork', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  engine.createEmpty('one').close();
  // A child process opens the fork, collects, and ends.
  const script = `
    import { StoreEngine } from ${JSON.stringify(new URL('../store/index.js', import.meta.url).href)};
    import { collectGarbage } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
    const engine = await StoreEngine.open(process.argv[1]);
    try { engine.openTree('one'); } catch (error) { console.log(error.code); }
    console.log(collectGarbage(engine).layersRemoved);
    await engine.close();`;
  const one = engine.openTree('one');
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script, scratch.directory]);
  assert.equal(output.toString(), 'EBUSY\n0\n');
  writeFile(one, '/a', patternBytes(10, 1));
});
