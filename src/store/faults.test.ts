/** What failing disks, closed forks and full caches must not do to an open fork. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { FsError, isFsError } from '../base/index.ts';
import { CrashedError, createSystem, type FaultPlan, FaultySystem } from '../sys/index.ts';
import { checkStore } from '../upkeep/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { StoreEngine } from './engine.ts';

const CREATE = 0o102;
const READ_WRITE = 0o2;
const O_TMPFILE = 0o20200000;

function code(wanted: string): (error: unknown) => boolean {
  return (error) => isFsError(error) && error.code === wanted;
}

/** Fails every `operation` on files whose path has `part` in it. */
function failing(operation: string, part: string, wanted: 'EIO' | 'ENOSPC' | 'EMFILE' = 'EIO'): FaultPlan {
  return (name, _index, path) =>
    name === operation && path.includes(part) ? { kind: 'error', code: wanted } : undefined;
}

async function withStore(
  run: (directory: string, system: FaultySystem, open: () => Promise<StoreEngine>) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/ramet-faults-`);
  const system = new FaultySystem(createSystem());
  const engines: StoreEngine[] = [];
  try {
    await run(directory, system, async () => {
      const engine = await StoreEngine.open(directory, { create: true, system });
      engines.push(engine);
      return engine;
    });
  } finally {
    system.plan = undefined;
    for (const engine of engines) await engine.close().catch(() => undefined);
    rmSync(directory, { recursive: true, force: true });
  }
}

function put(files: FileSystem, path: string, lengthBytes: number, byte: number): void {
  const file = files.open(path, CREATE, 0o644);
  files.write(file, Buffer.alloc(lengthBytes, byte), 0, lengthBytes, 0);
  files.close(file);
}

function bytesOf(files: FileSystem, path: string): Buffer {
  const file = files.open(path, 0, 0);
  const bytes = Buffer.alloc(files.statFile(file).size);
  files.read(file, bytes, 0, bytes.length, 0);
  files.close(file);
  return bytes;
}

test('a failed write after the end leaves zeros there for a later growth', () =>
  withStore(async (_directory, system, open) => {
    const files = (await open()).createEmpty('one').fileSystem;
    put(files, '/a', 100, 1);
    const file = files.open('/a', READ_WRITE, 0);
    system.plan = failing('pwrite', 'journals', 'ENOSPC');
    assert.throws(() => files.write(file, Buffer.alloc(100, 9), 0, 100, 100), code('ENOSPC'));
    system.plan = undefined;
    assert.equal(files.statFile(file).size, 100);
    files.truncateFile(file, 200);
    assert.deepEqual(bytesOf(files, '/a'), Buffer.concat([Buffer.alloc(100, 1), Buffer.alloc(100)]));
  }));

test('on a full disk the space of removed files can be used at once', () =>
  withStore(async (_directory, system, open) => {
    const tree = (await open()).createEmpty('one');
    const files = tree.fileSystem;
    put(files, '/large', 32 * 4096, 1);
    put(files, '/kept', 4096, 2);
    // After this mark a power cut would bring both files back.
    tree.commitMark();
    system.plan = failing('allocate', 'blobs', 'ENOSPC');
    const full = (index: number) => put(files, `/more-${index}`, 4096, 3);
    assert.throws(() => Array.from({ length: 64 }, (_, index) => full(index)), code('ENOSPC'));
    files.unlink('/large');
    for (let index = 100; index < 132; index++) full(index);
    assert.throws(() => Array.from({ length: 64 }, (_, index) => full(200 + index)), code('ENOSPC'));
    assert.deepEqual(bytesOf(files, '/kept'), Buffer.alloc(4096, 2));
    for (let index = 100; index < 132; index++)
      assert.deepEqual(bytesOf(files, `/more-${index}`), Buffer.alloc(4096, 3));
  }));

test('on a disk without space for records files can be removed and emptied, and nothing else can change', () =>
  withStore(async (_directory, system, open) => {
    const tree = (await open()).createEmpty('one');
    const files = tree.fileSystem;
    for (const name of ['a', 'b', 'c']) put(files, `/${name}`, 4096, 1);
    system.plan = failing('allocate', 'journals', 'ENOSPC');
    const change = (): void => files.chmod('/a', 0o600, true);
    assert.throws(() => Array.from({ length: 1000 }, change), code('ENOSPC'));
    assert.throws(() => put(files, '/d', 1, 1), code('ENOSPC'));
    files.unlink('/b');
    files.truncate('/c', 0);
    tree.commitMark();
    assert.throws(change, code('ENOSPC'));
    system.plan = undefined;
    change();
    assert.deepEqual(bytesOf(files, '/c'), Buffer.alloc(0));
    assert.throws(() => files.stat('/b', true), code('ENOENT'));
  }));

test('after a failed sync of the journal no later fsync succeeds, and the fork can be closed and opened', () =>
  withStore(async (_directory, system, open) => {
    const engine = await open();
    const tree = engine.createEmpty('one');
    put(tree.fileSystem, '/a', 100, 1);
    const file = tree.fileSystem.open('/a', READ_WRITE, 0);
    system.plan = failing('dataSync', 'journals');
    assert.throws(() => tree.fileSystem.sync(file, false), code('EIO'));
    system.plan = undefined;
    assert.throws(() => tree.fileSystem.sync(file, false), code('EIO'));
    assert.throws(() => tree.close(), code('EIO'));
    assert.equal(bytesOf(engine.openTree('one').fileSystem, '/a')[99], 1);
  }));

test('a freeze whose transaction fails leaves the fork writable', () =>
  withStore(async (_directory, _system, open) => {
    const engine = await open();
    const tree = engine.createEmpty('one');
    put(tree.fileSystem, '/a', 5000, 1);
    const refuse = (): void => {
      throw new FsError('EEXIST');
    };
    assert.throws(() => engine.freeze(tree, refuse), code('EEXIST'));
    put(tree.fileSystem, '/b', 9000, 2);
    put(tree.fileSystem, '/a', 5000, 3);
    engine.snapshot('one', 'base');
    tree.close();
    const base = engine.openTree('base').fileSystem;
    assert.deepEqual([bytesOf(base, '/a')[4999], bytesOf(base, '/b')[8999]], [3, 2]);
    assert.ok(checkStore(engine).isClean);
  }));

test('if starting a journal fails, the next record starts it', () =>
  withStore(async (_directory, system, open) => {
    const engine = await open();
    const tree = engine.createEmpty('one');
    put(tree.fileSystem, '/a', 100, 1);
    tree.commitMark();
    system.plan = failing('pwrite', 'journals');
    assert.throws(() => tree.checkpoint(), code('EIO'));
    assert.throws(() => tree.fileSystem.makeDirectory('/d', 0o755), code('EIO'));
    system.plan = undefined;
    put(tree.fileSystem, '/a', 100, 2);
    tree.stack.upper?.abandon();
    assert.equal(bytesOf((await open()).openTree('one').fileSystem, '/a')[0], 2);
  }));

test('a file of a closed fork cannot be written: the layer may have another owner', () =>
  withStore(async (_directory, _system, open) => {
    const engine = await open();
    const first = engine.createEmpty('one');
    put(first.fileSystem, '/a', 4096, 7);
    first.close();
    const second = engine.openTree('one');
    const stale = second.fileSystem.open('/a', READ_WRITE, 0);
    second.close();
    const owner = engine.openTree('one').fileSystem;
    put(owner, '/b', 4096, 1);
    const write = (): number => second.fileSystem.write(stale, Buffer.alloc(8192, 9), 0, 8192, 0);
    assert.throws(write, code('EBADF'));
    assert.deepEqual([bytesOf(owner, '/a')[0], bytesOf(owner, '/b')[0]], [7, 1]);
  }));

test('a truncate and an unlink that need a blob which cannot be opened fail before they are journalled', () =>
  withStore(async (_directory, system, open) => {
    const engine = await open();
    const tree = engine.createEmpty('one');
    put(tree.fileSystem, '/a', 8192, 7);
    put(tree.fileSystem, '/b', 8192, 8);
    await engine.close();
    const again = (await open()).openTree('one');
    system.plan = failing('open', 'blobs', 'EMFILE');
    assert.throws(() => again.fileSystem.truncate('/a', 0), code('EMFILE'));
    assert.throws(() => again.fileSystem.unlink('/b'), code('EMFILE'));
    system.plan = undefined;
    assert.equal(again.fileSystem.stat('/b', true).nlink, 1);
    again.stack.upper?.abandon();
    const files = (await open()).openTree('one').fileSystem;
    assert.deepEqual([bytesOf(files, '/a').length, bytesOf(files, '/b').length], [8192, 8192]);
  }));

test('a clone that is refused leaves its target as it was', () =>
  withStore(async (_directory, _system, open) => {
    const engine = await open();
    const [one, two] = [engine.createEmpty('one').fileSystem, engine.createEmpty('two').fileSystem];
    put(one, '/a', 100, 1);
    put(two, '/b', 200, 2);
    const [from, to] = [one.open('/a', 0, 0), two.open('/b', READ_WRITE, 0)];
    assert.throws(() => two.reflink(from, to, one), code('EXDEV'), 'blocks that are not frozen');
    assert.throws(() => two.reflink(from, to), code('EXDEV'), 'a file that is not of that tree');
    assert.deepEqual(bytesOf(two, '/b'), Buffer.alloc(200, 2));
    engine.snapshot('one', 'base');
    two.reflink(from, to, one);
    assert.deepEqual(bytesOf(two, '/b'), Buffer.alloc(100, 1));
  }));

test('a number that was used for a file without a name is not given out again', () =>
  withStore(async (_directory, _system, open) => {
    const engine = await open();
    const first = engine.createEmpty('one');
    const file = first.fileSystem.open('/', O_TMPFILE | READ_WRITE, 0o600);
    const { ino } = first.fileSystem.statFile(file);
    first.fileSystem.close(file);
    first.fileSystem.byInode.sync();
    first.close();
    const again = engine.openTree('one').fileSystem;
    put(again, '/a', 1, 1);
    assert.ok(again.stat('/a', true).ino > ino);
  }));

test('a crash between a freeze and the journal of the next layer leaves no orphan', () =>
  withStore(async (_directory, system, open) => {
    const engine = await open();
    const files = engine.createEmpty('one').fileSystem;
    put(files, '/a', 8192, 1);
    files.open('/a', READ_WRITE, 0);
    files.unlink('/a');
    let isFrozen = false;
    system.plan = (operation, _index, path) => {
      isFrozen ||= operation === 'truncate' && path.includes('blobs');
      return isFrozen && operation === 'open' && path.includes('journals') ? { kind: 'crash' } : undefined;
    };
    assert.throws(() => engine.snapshot('one', 'base'), CrashedError);
    const survivor = await StoreEngine.open(engine.directory);
    const tree = survivor.openTree('one');
    tree.checkpoint();
    assert.deepEqual([...survivor.tables.orphans.inos(tree.info.layer)], []);
    assert.ok(checkStore(survivor).isClean);
    await survivor.close();
  }));
