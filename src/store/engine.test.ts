/** Forks, snapshots and drops, owners, names, and the errors of the store as a whole. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import {
  patternBytes,
  problemsOf,
  readFile,
  SharedStore,
  writeFile,
} from '../../testing/stores/shared-store.ts';
import { isFsError, type Name, StoreError, type StoreErrorCode, yieldToEventLoop } from '../base/index.ts';
import { createSystem, FaultySystem } from '../sys/index.ts';
import { checkStore, collectGarbage } from '../upkeep/index.ts';
import { StoreEngine } from './engine.ts';
import type { Tree } from './tree.ts';

function code(wanted: string): (error: unknown) => boolean {
  return (error) => isFsError(error) && error.code === wanted;
}

function storeCode(wanted: StoreErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof StoreError && error.code === wanted && error.hint.length > 10;
}

function text(tree: Tree, path: string): string {
  return readFile(tree, path).toString();
}

function put(tree: Tree, path: string, content: string): void {
  writeFile(tree, path, Buffer.from(content));
}

test('fork, source and snapshot are independent of each other', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  put(one, '/a', 'first');
  const info = engine.snapshot('one', 'base');
  assert.equal(info.kind, 'snapshot');
  const two = engine.fork('base', 'two');
  put(one, '/a', 'FIRST');
  put(two, '/a', 'fi2st');
  two.fileSystem.makeDirectory('/only-two', 0o755);
  const base = engine.openTree('base');
  assert.deepEqual([text(one, '/a'), text(two, '/a'), text(base, '/a')], ['FIRST', 'fi2st', 'first']);
  assert.throws(() => one.fileSystem.stat('/only-two', true), code('ENOENT'));
  assert.throws(() => base.fileSystem.stat('/only-two', true), code('ENOENT'));
  assert.throws(() => put(base, '/a', 'x'), code('EROFS'));
  assert.deepEqual(problemsOf(engine), []);
});

test('a fork of a fork in use has all acknowledged writes; later changes of one do not show in the other', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  const file = one.fileSystem.open('/a', 0o102, 0o644);
  one.fileSystem.write(file, Buffer.from('before'), 0, 6, 0);
  const two = engine.fork('one', 'two');
  one.fileSystem.write(file, Buffer.from('AFTER!'), 0, 6, 0);
  assert.deepEqual([text(one, '/a'), text(two, '/a')], ['AFTER!', 'before']);
  const three = engine.fork('two', 'three');
  const four = engine.fork('three', 'four');
  put(four, '/a', 'fourth');
  put(two, '/a', 'second');
  assert.deepEqual([text(two, '/a'), text(three, '/a'), text(four, '/a')], ['second', 'before', 'fourth']);
  assert.equal(
    one.fileSystem.statFile(file).ino,
    four.fileSystem.stat('/a', true).ino,
    'one file, one number',
  );
  assert.notEqual(one.fileSystem.stat('/a', true).dev, four.fileSystem.stat('/a', true).dev);
  assert.deepEqual(problemsOf(engine), []);
});

test('an open file and a memory map go through a freeze unchanged and see later writes', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  if (!engine.system.canMap) return;
  const one = engine.createEmpty('one');
  const file = one.fileSystem.open('/a', 0o102, 0o644);
  one.fileSystem.write(file, Buffer.alloc(8192, 1), 0, 8192, 0);
  const view = one.fileSystem.map(file);
  engine.snapshot('one', 'base');
  one.fileSystem.write(file, Buffer.alloc(1, 2), 0, 1, 5000);
  assert.deepEqual([view.bytes[4999], view.bytes[5000]], [1, 2]);
  assert.equal(readFile(engine.openTree('base'), '/a')[5000], 1);
  view.close();
});

test('an unlinked file that is open goes through a freeze, and is gone when it is closed', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  put(one, '/a', 'held');
  const file = one.fileSystem.open('/a', 0o2, 0);
  one.fileSystem.unlink('/a');
  engine.snapshot('one', 'base');
  const bytes = Buffer.alloc(4);
  one.fileSystem.read(file, bytes, 0, 4, 0);
  assert.equal(bytes.toString(), 'held');
  assert.equal(one.fileSystem.statFile(file).nlink, 0);
  assert.deepEqual(problemsOf(engine), []);
  one.fileSystem.close(file);
  one.close();
  assert.deepEqual(problemsOf(engine), []);
});

test('a snapshot of a snapshot is the same tree', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  put(engine.createEmpty('one'), '/a', 'same');
  engine.snapshot('one', 'first');
  engine.snapshot('first', 'second');
  assert.equal(engine.info('second').layer, engine.info('first').layer);
  engine.drop('first');
  collectGarbage(engine);
  assert.equal(text(engine.openTree('second'), '/a'), 'same');
});

test('forking a clean fork makes only the new layer', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  put(engine.createEmpty('one'), '/a', 'x');
  engine.snapshot('one', 'base');
  const layers = [...engine.tables.layers.entries()].length;
  engine.fork('one', 'two').close();
  engine.fork('base', 'three').close();
  assert.equal([...engine.tables.layers.entries()].length, layers + 2);
});

test('a fork that is not open can be forked and snapshotted', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  put(one, '/a', 'x');
  one.close();
  const two = engine.fork('one', 'two');
  engine.snapshot('one', 'base');
  assert.deepEqual([text(two, '/a'), text(engine.openTree('base'), '/a')], ['x', 'x']);
  assert.equal(engine.openTreeOf('one'), undefined);
});

test('dropping a tree that others stand on leaves them whole', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  put(one, '/a', 'kept');
  const two = engine.fork('one', 'two');
  engine.snapshot('two', 'base');
  one.close();
  engine.drop('one');
  engine.drop('base');
  assert.equal(text(two, '/a'), 'kept');
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['two'],
  );
  two.close();
  collectGarbage(engine);
  assert.equal(text(engine.openTree('two'), '/a'), 'kept');
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

test('everything is there after closing and opening the store again', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(100_000, 1));
  one.fileSystem.symlink('/a', '/link');
  one.fileSystem.setXattr('/a', 'user.x', Buffer.from('y'), 0, true);
  engine.snapshot('one', 'base');
  writeFile(one, '/a', patternBytes(50_000, 2), 10_000);
  const listed = engine.list();
  await engine.close();
  await engine.close();
  const again = await scratch.open();
  assert.deepEqual(
    again.list().map(({ name }) => name),
    listed.map(({ name }) => name),
  );
  const expected = patternBytes(100_000, 1);
  assert.deepEqual(readFile(again.openTree('base'), '/a'), expected);
  patternBytes(50_000, 2).copy(expected, 10_000);
  const reopened = again.openTree('one');
  assert.deepEqual(readFile(reopened, '/link'), expected);
  assert.equal(reopened.fileSystem.getXattr('/a', 'user.x', true).toString(), 'y');
});

test('taken, missing and invalid names are refused', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  engine.createEmpty('one').close();
  engine.snapshot('one', 'base');
  const before = engine.list().length;
  assert.throws(() => engine.createEmpty('one'), code('EEXIST'));
  assert.throws(() => engine.fork('one', 'base'), code('EEXIST'));
  assert.throws(() => engine.snapshot('one', 'base'), code('EEXIST'));
  assert.throws(() => engine.snapshot('base', 'one'), code('EEXIST'));
  assert.throws(() => engine.buildLayer('one', '/x'), code('EEXIST'));
  for (const missing of [
    () => engine.openTree('no'),
    () => engine.fork('no', 'x'),
    () => engine.snapshot('no', 'x'),
  ]) {
    assert.throws(missing, code('ENOENT'));
  }
  assert.throws(() => engine.drop('no'), code('ENOENT'));
  assert.throws(() => engine.info('no'), code('ENOENT'));
  for (const bad of ['', '.', '..', 'a/b', 'a:b', '-x', 'a\nb', 'é'.repeat(101)]) {
    assert.throws(() => engine.createEmpty(bad), code('EINVAL'), JSON.stringify(bad));
    assert.throws(() => engine.fork('base', bad), code('EINVAL'));
    assert.throws(() => engine.snapshot('base', bad), code('EINVAL'));
  }
  assert.equal(engine.list().length, before);
  for (const good of ['a b', 'é'.repeat(100), '...', 'a.b-c_d']) engine.createEmpty(good).close();
  assert.equal(engine.list().length, before + 4);
});

test('a fork has one owner', async () => {
  await using scratch = new SharedStore();
  const [engine, other] = [await scratch.open(), await scratch.open()];
  const one = engine.createEmpty('one');
  const isOwned = (error: unknown): boolean =>
    isFsError(error, 'EBUSY') && error.message.includes(String(process.pid));
  assert.throws(() => engine.openTree('one'), isOwned);
  assert.throws(() => other.openTree('one'), isOwned);
  assert.throws(() => other.fork('one', 'x'), isOwned);
  assert.throws(() => other.snapshot('one', 'x'), isOwned);
  assert.throws(() => other.drop('one'), { code: 'EBUSY', syscall: 'drop', path: 'one' });
  assert.throws(() => engine.drop('one'), code('EBUSY'));
  put(one, '/a', 'still mine');
  one.close();
  one.close();
  const taken = other.openTree('one');
  assert.equal(text(taken, '/a'), 'still mine');
  assert.throws(() => engine.openTree('one'), isOwned);
});

test('a snapshot can be opened by many at once', async () => {
  await using scratch = new SharedStore();
  const [engine, other] = [await scratch.open(), await scratch.open()];
  put(engine.createEmpty('one'), '/a', 'x');
  engine.snapshot('one', 'base');
  const trees = [engine.openTree('base'), engine.openTree('base'), other.openTree('base')];
  for (const tree of trees) assert.equal(text(tree, '/a'), 'x');
  assert.equal(
    trees.every((tree) => tree.isReadOnly),
    true,
  );
});

test('inode numbers are never given out twice, across forks and openings', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const seen = new Set<number>();
  const make = (tree: Tree, count: number): void => {
    for (let index = 0; index < count; index++) {
      const path = `/${tree.info.name}-${seen.size}`;
      put(tree, path, 'x');
      const { ino } = tree.fileSystem.stat(path, true);
      assert.equal(seen.has(ino), false, `inode ${ino}`);
      seen.add(ino);
    }
  };
  let one = engine.createEmpty('one');
  make(one, 50);
  const two = engine.fork('one', 'two');
  make(one, 50);
  make(two, 50);
  one.close();
  one = engine.openTree('one');
  make(one, 50);
  make(two, 50);
  assert.deepEqual(problemsOf(engine), []);
});

test('calls on a closed store fail, and say that it is closed', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  await engine.close();
  assert.equal(one.isClosed, true);
  const closed = storeCode('ERR_STORE_CLOSED');
  assert.throws(() => engine.list(), closed);
  assert.throws(() => engine.openTree('one'), closed);
  assert.throws(() => engine.createEmpty('two'), closed);
  assert.throws(() => engine.buildLayer('two', '/x'), closed);
  assert.throws(() => collectGarbage(engine), closed);
  assert.throws(() => checkStore(engine), closed);
});

test('a store that is missing, exists already, or has another version is refused', async () => {
  const directory = mkdtempSync(`${tmpdir()}/ramet-engine-`);
  try {
    await assert.rejects(StoreEngine.open(directory), storeCode('ERR_STORE_NOT_FOUND'));
    await assert.rejects(StoreEngine.open(`${directory}/none`), storeCode('ERR_STORE_NOT_FOUND'));
    StoreEngine.initialize(directory);
    assert.throws(() => StoreEngine.initialize(directory), storeCode('ERR_STORE_EXISTS'));
    const engine = await StoreEngine.open(directory, { create: true });
    assert.deepEqual(engine.list(), []);
    await engine.close();
    writeFileSync(`${directory}/VERSION`, 'ramet store 999\n');
    await assert.rejects(StoreEngine.open(directory), storeCode('ERR_STORE_VERSION'));
    writeFileSync(`${directory}/VERSION`, 'ramet store 1\n');
    writeFileSync(`${directory}/meta/data.mdb`, Buffer.alloc(statSync(`${directory}/meta/data.mdb`).size, 7));
    await assert.rejects(StoreEngine.open(directory), storeCode('ERR_STORE_CORRUPT'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test('the next owner finds everything that a dead owner acknowledged', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  const one = engine.createEmpty('one');
  writeFile(one, '/a', patternBytes(100_000, 1));
  one.fileSystem.rename('/a', '/b');
  await scratch.crash(engine, system);
  const next = await scratch.open();
  const again = next.openTree('one');
  assert.deepEqual(readFile(again, '/b'), patternBytes(100_000, 1));
  assert.throws(() => again.fileSystem.stat('/a', true), code('ENOENT'));
  assert.deepEqual(problemsOf(next), []);
});

test('a missing layer is reported as damage, with a hint', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  engine.createEmpty('one').close();
  const { layer } = engine.info('one');
  engine.tables.transaction(() => void engine.tables.layers.remove(layer));
  assert.throws(() => engine.openTree('one'), storeCode('ERR_STORE_CORRUPT'));
  assert.throws(() => collectGarbage(engine), storeCode('ERR_STORE_CORRUPT'));
});

test('dropping a fork removes its journal and frees its name', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  put(one, '/a', 'x');
  const path = engine.layout.journalPath(one.info.layer);
  one.close();
  assert.equal(existsSync(path), true);
  engine.drop('one');
  assert.equal(existsSync(path), false);
  assert.throws(() => engine.createEmpty('one').fileSystem.stat('/a', true), code('ENOENT'));
});

/** A system whose thread pool finishes no read before `release` is called. */
class SlowPool extends FaultySystem {
  release: () => void = () => undefined;
  private readonly gate = new Promise<void>((resolve) => {
    this.release = resolve;
  });

  override async preadAsync(
    fd: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    await this.gate;
    return super.preadAsync(fd, target, offset, length, position);
  }
}

test('closing a store waits for background reads', async () => {
  await using scratch = new SharedStore();
  const system = new SlowPool(createSystem());
  const engine = await scratch.open(system);
  const tree = engine.createEmpty('one');
  put(tree, '/a', 'content');
  const { byInode, caller, stack } = tree.fileSystem;
  const fetched = byInode.fetch(byInode.lookup(caller, stack.root, 'a' as Name)!, 0, 4096);
  let isClosed = false;
  const closed = engine.close().then(() => {
    isClosed = true;
  });
  await yieldToEventLoop();
  assert.equal(isClosed, false);
  system.release();
  await fetched;
  await closed;
});
