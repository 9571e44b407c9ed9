/** The faulty system: each fault does what it says, and after a crash every call fails. */
import assert from 'node:assert/strict';
import { constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Address, BLOCK_SIZE, isFsError } from '../base/index.ts';
import { CrashedError, type Fault, FaultySystem } from './faulty.ts';
import { createBufferedSystem, createSystem } from './index.ts';
import type { System } from './system.ts';

const CREATE = constants.O_RDWR | constants.O_CREAT;
const path = Buffer.from('/nowhere');
const at = BLOCK_SIZE as Address;
const time = { seconds: 0, nanoseconds: 0 };

/** Every counted call, with arguments that would fail if they reached the host. */
const COUNTED: Readonly<Partial<Record<keyof System, (system: System) => unknown>>> = {
  open: (system) => system.open('/nowhere/file', 0),
  close: (system) => system.close(9999),
  pread: (system) => system.pread(9999, Buffer.alloc(1), 0, 1, 0),
  tryPread: (system) => system.tryPread(9999, Buffer.alloc(1), 0, 1, 0),
  pwrite: (system) => system.pwrite(9999, Buffer.alloc(1), 0, 1, 0),
  allocate: (system) => system.allocate(9999, 0, 1),
  punch: (system) => system.punch(9999, 0, 1),
  truncate: (system) => system.truncate(9999, 0),
  dataSync: (system) => system.dataSync(9999),
  fullSync: (system) => system.fullSync(9999),
  fileSize: (system) => system.fileSize(9999),
  tryLock: (system) => system.tryLock(9999),
  unlock: (system) => system.unlock(9999),
  rename: (system) => system.rename('/nowhere/a', '/nowhere/b'),
  unlink: (system) => system.unlink('/nowhere/a'),
  makeDirectory: (system) => system.makeDirectory('/nowhere/a'),
  lock: (system) => system.lock(9999),
  syncDirectory: (system) => system.syncDirectory('/nowhere'),
  cloneFile: (system) => system.cloneFile(9998, 9999),
  cloneRange: (system) => system.cloneRange(9998, 0, 4096, 9999, 0),
  seekData: (system) => system.seekData(9999, 0),
  seekHole: (system) => system.seekHole(9999, 0),
  reserve: (system) => system.reserve(2 ** 50),
  mapWindow: (system) => system.mapWindow(9999, 0, BLOCK_SIZE),
  mapView: (system) => system.mapView(at, 9999, 0, BLOCK_SIZE),
  mapZeros: (system) => system.mapZeros(at, 1),
  residency: (system) => system.residency(at, BLOCK_SIZE),
  advise: (system) => system.advise(at, BLOCK_SIZE, 4),
  dropCache: (system) => system.dropCache(9999),
  frameNumbers: (system) => system.frameNumbers(1 as Address, 1),
  frameMapCounts: (system) => system.frameMapCounts([]),
  statHost: (system) => system.statHost(path, true),
  readHostDirectory: (system) => system.readHostDirectory(path),
  readHostLink: (system) => system.readHostLink(path),
  openHost: (system) => system.openHost(path, 0),
  readHostXattrs: (system) => system.readHostXattrs(path),
  openInRoot: (system) => system.openInRoot(9999, Buffer.from('a'), 0),
  openBeneath: (system) => system.openBeneath(9999, Buffer.from('a'), 0),
  openAt: (system) => system.openAt(9999, Buffer.from('a'), 0),
  lstatAt: (system) => system.lstatAt(9999, Buffer.from('a')),
  makeDirectoryAt: (system) => system.makeDirectoryAt(9999, Buffer.from('a'), 0),
  symlinkAt: (system) => system.symlinkAt(path, 9999, Buffer.from('a')),
  linkAt: (system) => system.linkAt(9999, path, 9998, Buffer.from('a')),
  renameAt: (system) => system.renameAt(9999, path, 9998, Buffer.from('a')),
  unlinkAt: (system) => system.unlinkAt(9999, Buffer.from('a')),
  removeDirectoryAt: (system) => system.removeDirectoryAt(9999, Buffer.from('a')),
  makeNodeAt: (system) => system.makeNodeAt(9999, Buffer.from('a'), 0, 0),
  chownFile: (system) => system.chownFile(9999, 0, 0),
  chmodFile: (system) => system.chmodFile(9999, 0),
  setFileTimes: (system) => system.setFileTimes(9999, time, time),
  writeFileXattr: (system) => system.writeFileXattr(9999, 'user.a', path),
  statAt: (system) => system.statAt(9999, Buffer.from('a'), true),
  readDirectory: (system) => system.readDirectory(9999),
  readLinkAt: (system) => system.readLinkAt(9999, Buffer.from('a')),
  readFileXattrs: (system) => system.readFileXattrs(9999),
  fileSystemUuid: (system) => system.fileSystemUuid(9999),
  statFile: (system) => system.statFile(9999),
  syncFileSystem: (system) => system.syncFileSystem(9999),
};
/** The faulty system does these calls synchronously, like their forms without Async. */
const ASYNC = ['preadAsync', 'pwriteAsync', 'dataSyncAsync'];
const NOT_COUNTED = [
  'startWriteback',
  'kind',
  'canMap',
  'clock',
  'unmap',
  'bufferAt',
  'bootId',
  'mapCountMax',
  'mounts',
];

describe('FaultySystem', () => {
  const inner = createSystem('native');
  let directory: string;
  let file: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ramet-faulty-'));
    file = join(directory, 'file');
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  /** A faulty system with one open file of eight bytes, and a plan with a fault for `operation`. */
  function struckAt(operation: keyof System, fault: Fault): [FaultySystem, number] {
    const system = new FaultySystem(inner);
    const fd = system.open(file, CREATE);
    system.pwrite(fd, Buffer.from('abcdefgh'), 0, 8, 0);
    system.plan = (name) => (name === operation ? fault : undefined);
    return [system, fd];
  }

  test('the lists of this test name every call', () => {
    assert.deepEqual([...Object.keys(COUNTED), ...ASYNC, ...NOT_COUNTED].sort(), Object.keys(inner).sort());
  });

  for (const [operation, call] of Object.entries(COUNTED)) {
    test(`${operation} is counted, asks the plan, fails before it reaches the host, and fails after a crash`, () => {
      const asked: string[] = [];
      const system = new FaultySystem(inner, (name, index) => {
        asked.push(`${name} ${index}`);
        // EXDEV: no call of this list fails with that code by itself.
        return { kind: 'error', code: 'EXDEV' };
      });
      if (operation === 'close') {
        // Like close(2), close frees the descriptor even when it fails: it reaches the host, whose EBADF wins.
        assert.throws(
          () => call(system),
          (error) => isFsError(error, 'EBADF'),
        );
      } else {
        assert.throws(
          () => call(system),
          (error) => isFsError(error, 'EXDEV'),
        );
      }
      assert.deepEqual(asked, [`${operation} 0`]);
      assert.equal(system.callCount, 1);
      system.plan = () => ({ kind: 'crash' });
      assert.throws(() => call(system), CrashedError);
      assert.equal(system.callCount, 2);
      system.plan = undefined;
      assert.throws(() => call(system), CrashedError);
      assert.equal(system.callCount, 2);
    });
  }

  test('calls of the thread pool are counted, ask the plan, and keep the order of all calls', async () => {
    const asked: string[] = [];
    const system = new FaultySystem(inner);
    const fd = system.open(file, CREATE);
    system.plan = (name, index) => {
      asked.push(`${name} ${index}`);
      return index === 4 ? { kind: 'error', code: 'EIO' } : undefined;
    };
    const written = system.pwriteAsync(fd, Buffer.from('abc'), 0, 3, 0);
    assert.equal(readFileSync(file, 'latin1'), 'abc');
    await written;
    assert.equal(await system.preadAsync(fd, Buffer.alloc(8), 0, 8, 0), 3);
    await system.dataSyncAsync(fd);
    await assert.rejects(system.dataSyncAsync(fd), (error) => isFsError(error, 'EIO'));
    assert.deepEqual(asked, ['pwrite 1', 'pread 2', 'dataSync 3', 'dataSync 4']);
  });

  test('the plan gets the index of the call and the path of the descriptor', () => {
    const seen: unknown[] = [];
    const system = new FaultySystem(inner, (operation, index, path) => {
      seen.push([operation, index, path]);
      return undefined;
    });
    const fd = system.open(file, CREATE);
    system.pwrite(fd, Buffer.from('x'), 0, 1, 0);
    system.dataSync(fd);
    system.dataSync(fd);
    system.close(fd);
    system.unlink(file);
    assert.deepEqual(seen, [
      ['open', 0, file],
      ['pwrite', 1, file],
      ['dataSync', 2, file],
      ['dataSync', 3, file],
      ['close', 4, file],
      ['unlink', 5, file],
    ]);
    assert.equal(system.count('dataSync'), 2);
    assert.equal(system.count('rename'), 0);
  });

  test('a torn write leaves its first bytes and fails with EIO, or with the code given', () => {
    const [system, fd] = struckAt('pwrite', { kind: 'torn', bytes: 3 });
    assert.throws(
      () => system.pwrite(fd, Buffer.from('12345678'), 0, 8, 0),
      (error) => isFsError(error, 'EIO'),
    );
    assert.equal(readFileSync(file, 'latin1'), '123defgh');
    system.plan = () => ({ kind: 'torn', bytes: 100, code: 'ENOSPC' });
    assert.throws(
      () => system.pwrite(fd, Buffer.from('..WXYZ'), 2, 4, 0),
      (error) => isFsError(error, 'ENOSPC'),
    );
    assert.equal(readFileSync(file, 'latin1'), 'WXYZefgh');
    system.plan = undefined;
    system.close(fd);
  });

  for (const operation of ['pread', 'tryPread'] as const) {
    test(`a short ${operation} reads fewer bytes`, () => {
      const [system, fd] = struckAt(operation, { kind: 'short', bytes: 5 });
      const target = Buffer.alloc(8, '.');
      assert.equal(system[operation](fd, target, 0, 8, 0), 5);
      assert.equal(target.toString(), 'abcde...');
      assert.equal(system[operation](fd, target, 0, 2, 0), 2);
      system.close(fd);
    });

    test(`a flipped bit shows in the bytes that ${operation} reads, and not in the file`, () => {
      const [system, fd] = struckAt(operation, { kind: 'flip', byte: 2, bit: 5 });
      const target = Buffer.alloc(10, '.');
      assert.equal(system[operation](fd, target, 1, 8, 0), 8);
      assert.equal(target.toString(), '.abCdefgh.');
      assert.equal(system[operation](fd, target, 1, 2, 0), 2);
      assert.equal(target.toString('latin1', 1, 3), 'ab');
      assert.equal(readFileSync(file, 'latin1'), 'abcdefgh');
      system.close(fd);
    });
  }

  test('close frees the descriptor even where it fails', () => {
    const [system, fd] = struckAt('close', { kind: 'error', code: 'EIO' });
    assert.throws(
      () => system.close(fd),
      (error) => isFsError(error, 'EIO'),
    );
    assert.throws(
      () => inner.fileSize(fd),
      (error) => isFsError(error, 'EBADF'),
    );
  });

  test('a crash in a write leaves its first bytes', () => {
    const [system, fd] = struckAt('pwrite', { kind: 'crash', bytes: 2 });
    assert.throws(() => system.pwrite(fd, Buffer.from('12345678'), 0, 8, 4), CrashedError);
    assert.equal(readFileSync(file, 'latin1'), 'abcd12gh');
    assert.equal(system.isCrashed, true);
  });

  test('a crash before a write leaves nothing of it', () => {
    const [system, fd] = struckAt('pwrite', { kind: 'crash' });
    assert.throws(() => system.pwrite(fd, Buffer.from('12345678'), 0, 8, 4), CrashedError);
    assert.equal(readFileSync(file, 'latin1'), 'abcdefgh');
  });

  for (const kind of ['native', 'buffered'] as const) {
    test(`a crash closes open files and gives locks back (${kind})`, () => {
      const base = createSystem(kind);
      const system = new FaultySystem(base);
      const fd = system.open(file, CREATE);
      assert.equal(system.tryLock(fd), true);
      system.crash();
      system.crash();
      assert.throws(
        () => base.fileSize(fd),
        (error) => isFsError(error, 'EBADF'),
      );
      assert.throws(() => system.close(fd), CrashedError);
      const next = base.open(file, CREATE);
      assert.equal(base.tryLock(next), true);
      base.close(next);
    });
  }

  test('after a crash only unmap still works', () => {
    const system = new FaultySystem(inner);
    const memory = system.reserve(BLOCK_SIZE);
    system.crash();
    assert.throws(() => system.bufferAt(memory, BLOCK_SIZE), CrashedError);
    assert.throws(() => system.bootId(), CrashedError);
    assert.throws(() => system.mapCountMax(), CrashedError);
    system.unmap(memory, BLOCK_SIZE);
    assert.throws(
      () => inner.residency(memory, BLOCK_SIZE),
      (error) => isFsError(error, 'ENOMEM'),
    );
  });

  test('a fault that does not suit the operation fails an assertion', () => {
    const misplaced: [keyof System, Fault, (system: System, fd: number) => unknown][] = [
      ['rename', { kind: 'torn', bytes: 1 }, (system) => system.rename(file, file)],
      ['pread', { kind: 'torn', bytes: 1 }, (system, fd) => system.pread(fd, Buffer.alloc(1), 0, 1, 0)],
      [
        'pwrite',
        { kind: 'flip', byte: 0, bit: 0 },
        (system, fd) => system.pwrite(fd, Buffer.alloc(1), 0, 1, 0),
      ],
      ['dataSync', { kind: 'crash', bytes: 1 }, (system, fd) => system.dataSync(fd)],
    ];
    for (const [operation, fault, call] of misplaced) {
      const [system, fd] = struckAt(operation, fault);
      assert.throws(() => call(system, fd), /internal invariant broken: \w+ has no fault of kind/);
      system.crash();
    }
  });

  test('calls that are not counted are passed on, and the boot id can be replaced', () => {
    assert.equal(new FaultySystem(inner).bootId(), inner.bootId());
    assert.equal(new FaultySystem(inner, undefined, { bootId: 'next' }).bootId(), 'next');
    assert.equal(new FaultySystem(inner).mapCountMax(), inner.mapCountMax());
    const buffered = new FaultySystem(createBufferedSystem());
    assert.deepEqual([buffered.kind, buffered.canMap, buffered.callCount], ['buffered', false, 0]);
  });
});
