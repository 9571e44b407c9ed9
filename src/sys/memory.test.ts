/** The memory calls: maps of real files, their content, and their physical frames. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { constants, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { type Address, BLOCK_SIZE, isFsError } from '../base/index.ts';
import { createBufferedSystem, createNativeSystem } from './index.ts';

const native = createNativeSystem();
assert.ok(!(native instanceof Error), 'the machine that runs the tests has libc through koffi');
const system = native;
const needsRoot = process.getuid?.() === 0 ? false : 'needs root';
/** Why residency cannot be tested: 0x01021994 is TMPFS_MAGIC, and pages of a tmpfs cannot be dropped from memory. */
const onTmpfs = statfsSync(tmpdir()).type === 0x01021994 ? 'the temporary directory is a tmpfs' : false;
const MADV_DONTNEED = 4;

describe('native memory', () => {
  let directory: string;
  let fd: number;
  let mapped: [Address, number][];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'ramet-memory-'));
    fd = system.open(join(directory, 'file'), constants.O_RDWR | constants.O_CREAT);
    for (let block = 0; block < 8; block++)
      system.pwrite(fd, Buffer.alloc(BLOCK_SIZE, block + 1), 0, BLOCK_SIZE, block * BLOCK_SIZE);
    mapped = [];
  });

  afterEach(() => {
    for (const [at, length] of mapped) system.unmap(at, length);
    system.close(fd);
    rmSync(directory, { recursive: true });
  });

  function window(block: number, count: number): [Address, Uint8Array] {
    const at = system.mapWindow(fd, block * BLOCK_SIZE, count * BLOCK_SIZE);
    mapped.push([at, count * BLOCK_SIZE]);
    return [at, new Uint8Array(system.bufferAt(at, count * BLOCK_SIZE))];
  }

  function reserve(count: number): Address {
    const at = system.reserve(count * BLOCK_SIZE);
    mapped.push([at, count * BLOCK_SIZE]);
    return at;
  }

  const next = (at: Address, blocks: number): Address => (at + blocks * BLOCK_SIZE) as Address;

  test('a window shows the file and later writes to it', () => {
    const [, bytes] = window(2, 3);
    assert.deepEqual([bytes[0], bytes[BLOCK_SIZE], bytes[3 * BLOCK_SIZE - 1]], [3, 4, 5]);
    system.pwrite(fd, Buffer.from([99]), 0, 1, 3 * BLOCK_SIZE + 7);
    assert.equal(bytes[BLOCK_SIZE + 7], 99);
  });

  test('a view is stitched from blocks in any order, with zeros between, and follows writes', () => {
    const at = reserve(3);
    system.mapView(at, fd, 5 * BLOCK_SIZE, BLOCK_SIZE);
    system.mapZeros(next(at, 1), BLOCK_SIZE);
    system.mapView(next(at, 2), fd, 1 * BLOCK_SIZE, BLOCK_SIZE);
    const view = new Uint8Array(system.bufferAt(at, 3 * BLOCK_SIZE));
    assert.deepEqual([view[0], view[BLOCK_SIZE], view[2 * BLOCK_SIZE]], [6, 0, 2]);
    system.pwrite(fd, Buffer.from([77]), 0, 1, BLOCK_SIZE);
    assert.equal(view[2 * BLOCK_SIZE], 77);
    system.mapView(at, fd, 0, BLOCK_SIZE);
    assert.equal(view[0], 1);
  });

  test('a stray store into a view changes only that page of the view', () => {
    const at = reserve(2);
    system.mapView(at, fd, 0, 2 * BLOCK_SIZE);
    const view = new Uint8Array(system.bufferAt(at, 2 * BLOCK_SIZE));
    view[10] = 55;
    const file = Buffer.alloc(1);
    system.pread(fd, file, 0, 1, 10);
    assert.equal(file[0], 1);
    system.pwrite(fd, Buffer.from([66]), 0, 1, BLOCK_SIZE);
    assert.equal(view[BLOCK_SIZE], 66);
  });

  test('zeros over a view leave the address range mapped and the file alone', () => {
    const at = reserve(2);
    system.mapView(at, fd, 0, 2 * BLOCK_SIZE);
    const view = new Uint8Array(system.bufferAt(at, 2 * BLOCK_SIZE));
    system.mapZeros(at, 2 * BLOCK_SIZE);
    assert.ok(view.every((byte) => byte === 0));
    const file = Buffer.alloc(1);
    system.pread(fd, file, 0, 1, 0);
    assert.equal(file[0], 1);
  });

  test('pread into mapped memory and pwrite from it work', () => {
    const at = reserve(1);
    system.mapZeros(at, BLOCK_SIZE);
    const memory = new Uint8Array(system.bufferAt(at, BLOCK_SIZE));
    assert.equal(system.pread(fd, memory, 100, 10, 4 * BLOCK_SIZE), 10);
    assert.deepEqual([memory[99], memory[100], memory[109], memory[110]], [0, 5, 5, 0]);
    system.pwrite(fd, memory, 100, 1, 0);
    const file = Buffer.alloc(1);
    system.pread(fd, file, 0, 1, 0);
    assert.equal(file[0], 5);
  });

  test('a buffer over mapped memory cannot be transferred', () => {
    const at = reserve(1);
    system.mapZeros(at, BLOCK_SIZE);
    const buffer = system.bufferAt(at, BLOCK_SIZE);
    const { port1, port2 } = new MessageChannel();
    const transfers: (() => unknown)[] = [
      () => structuredClone(buffer, { transfer: [buffer] }),
      () => port1.postMessage(new Uint8Array(buffer), [buffer]),
    ];
    for (const transfer of transfers) {
      try {
        transfer();
      } catch (error) {
        // Newer versions of Node refuse; Node 20 copies instead. Either way the buffer stays.
        assert.equal(error instanceof Error && error.name, 'DataCloneError');
      }
      assert.equal(buffer.byteLength, BLOCK_SIZE);
    }
    port1.close();
    port2.close();
    for (const method of ['transfer', 'transferToFixedLength'])
      assert.throws(() => Reflect.get(buffer, method).call(buffer), /Cannot transfer/);
    assert.equal(buffer.byteLength, BLOCK_SIZE);
  });

  test('a process that ends while buffers live ends normally, on its main thread and in a worker', () => {
    const door = JSON.stringify(new URL('./index.js', import.meta.url).href);
    const keep = `import(${door}).then(({ createSystem }) => {
      const system = createSystem('native');
      const at = system.reserve(${BLOCK_SIZE});
      system.mapZeros(at, ${BLOCK_SIZE});
      globalThis.kept = system.bufferAt(at, ${BLOCK_SIZE});
    });`;
    const worker = `new (require('node:worker_threads').Worker)(${JSON.stringify(keep)}, { eval: true });`;
    for (const script of [keep, worker]) {
      const child = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
      assert.deepEqual([child.status, child.signal, child.stderr], [0, null, '']);
    }
  });

  test('a buffer may end inside its last page', () => {
    const at = reserve(2);
    system.mapView(at, fd, 0, 2 * BLOCK_SIZE);
    const bytes = new Uint8Array(system.bufferAt(at, BLOCK_SIZE + 3));
    assert.deepEqual([bytes.length, bytes[BLOCK_SIZE + 2]], [BLOCK_SIZE + 3, 2]);
  });

  test('a buffer of more than 4 GiB is EFBIG, and does not abort the process', () => {
    const at = reserve(2 ** 20 + 1);
    assert.throws(
      () => system.bufferAt(at, 2 ** 32 + BLOCK_SIZE),
      (error) => isFsError(error, 'EFBIG'),
    );
    assert.equal(system.bufferAt(at, 2 ** 32).byteLength, 2 ** 32);
  });

  test('address space that the machine does not have is ENOMEM', () => {
    assert.throws(
      () => system.reserve(2 ** 50),
      (error) => isFsError(error, 'ENOMEM') && error.syscall === 'mmap',
    );
  });

  test('a map of a bad descriptor is EBADF', () => {
    const at = reserve(1);
    assert.throws(
      () => system.mapWindow(9999, 0, BLOCK_SIZE),
      (error) => isFsError(error, 'EBADF'),
    );
    assert.throws(
      () => system.mapView(at, 9999, 0, BLOCK_SIZE),
      (error) => isFsError(error, 'EBADF'),
    );
  });

  test('every call refuses ranges that are not whole blocks', () => {
    const at = reserve(1);
    const odd = (at + 1) as Address;
    const calls: (() => unknown)[] = [
      () => system.reserve(100),
      () => system.reserve(0),
      () => system.mapWindow(fd, 1, BLOCK_SIZE),
      () => system.mapView(odd, fd, 0, BLOCK_SIZE),
      () => system.mapZeros(at, 1),
      () => system.unmap(odd, BLOCK_SIZE),
      () => system.bufferAt(odd, 5),
      () => system.bufferAt(at, 0),
      () => system.residency(odd, BLOCK_SIZE),
      () => system.advise(at, 7, MADV_DONTNEED),
      () => system.frameNumbers(odd, 1),
    ];
    for (const call of calls) assert.throws(call, /internal invariant/, String(call));
  });

  test('residency tells cached pages from dropped ones', { skip: onTmpfs }, () => {
    system.fullSync(fd);
    const [at, bytes] = window(0, 8);
    assert.equal(bytes[0], 1);
    assert.equal(system.residency(at, 8 * BLOCK_SIZE)[0]! & 1, 1);
    system.advise(at, 8 * BLOCK_SIZE, MADV_DONTNEED);
    system.dropCache(fd);
    assert.ok(system.residency(at, 8 * BLOCK_SIZE).every((page) => (page & 1) === 0));
    assert.equal(system.tryPread(fd, Buffer.alloc(BLOCK_SIZE), 0, BLOCK_SIZE, 0), -1);
    assert.equal(bytes[BLOCK_SIZE], 2);
  });

  test('residency and advise of unmapped memory are ENOMEM', () => {
    const at = system.reserve(BLOCK_SIZE);
    system.unmap(at, BLOCK_SIZE);
    assert.throws(
      () => system.residency(at, BLOCK_SIZE),
      (error) => isFsError(error, 'ENOMEM'),
    );
    assert.throws(
      () => system.advise(at, BLOCK_SIZE, MADV_DONTNEED),
      (error) => isFsError(error, 'ENOMEM'),
    );
  });

  test('an unknown advice is EINVAL', () => {
    assert.throws(
      () => system.advise(reserve(1), BLOCK_SIZE, 9999),
      (error) => isFsError(error, 'EINVAL'),
    );
  });

  test('a page of a file has one frame in all maps, until a store to a view gives that view a frame of its own', {
    skip: needsRoot,
  }, () => {
    const [windowAt, bytes] = window(3, 2);
    const at = reserve(2);
    system.mapView(at, fd, 3 * BLOCK_SIZE, 2 * BLOCK_SIZE);
    const view = new Uint8Array(system.bufferAt(at, 2 * BLOCK_SIZE));
    // Reading makes the pages present.
    assert.equal(bytes[0]! + bytes[BLOCK_SIZE]! + view[0]! + view[BLOCK_SIZE]!, 4 + 5 + 4 + 5);
    const frames = system.frameNumbers(windowAt, 2);
    assert.ok(frames.every((frame) => frame > 0));
    assert.notEqual(frames[0], frames[1]);
    assert.deepEqual(system.frameNumbers(at, 2), frames);
    assert.ok(system.frameMapCounts(frames).every((count) => count >= 2));
    view[0] = 1;
    const broken = system.frameNumbers(at, 2);
    assert.notEqual(broken[0], frames[0]);
    assert.equal(broken[1], frames[1]);
  });

  test('a page that is not present has frame 0', { skip: needsRoot }, () => {
    assert.deepEqual(system.frameNumbers(reserve(3), 3), [0, 0, 0]);
  });

  test('frames of a range longer than one read of pagemap', { skip: needsRoot }, () => {
    const pages = 20_000;
    const at = reserve(pages);
    system.mapZeros(at, pages * BLOCK_SIZE);
    const last = new Uint8Array(system.bufferAt(next(at, pages - 1), BLOCK_SIZE));
    last[0] = 1;
    const frames = system.frameNumbers(at, pages);
    assert.equal(frames.length, pages);
    assert.ok(frames[pages - 1]! > 0);
    assert.equal(frames[0], 0);
  });

  test('a frame that does not exist has count -1', () => {
    assert.deepEqual(system.frameMapCounts([2 ** 45]), [-1]);
  });
});

test('every memory call of the buffered system is ENOTSUP', () => {
  const buffered = createBufferedSystem();
  const at = BLOCK_SIZE as Address;
  assert.equal(buffered.canMap, false);
  const calls: (() => unknown)[] = [
    () => buffered.reserve(BLOCK_SIZE),
    () => buffered.mapWindow(0, 0, BLOCK_SIZE),
    () => buffered.mapView(at, 0, 0, BLOCK_SIZE),
    () => buffered.mapZeros(at, BLOCK_SIZE),
    () => buffered.unmap(at, BLOCK_SIZE),
    () => buffered.bufferAt(at, BLOCK_SIZE),
    () => buffered.residency(at, BLOCK_SIZE),
    () => buffered.advise(at, BLOCK_SIZE, MADV_DONTNEED),
    () => buffered.frameNumbers(at, 1),
    () => buffered.frameMapCounts([1]),
  ];
  for (const call of calls) assert.throws(call, (error) => isFsError(error, 'ENOTSUP'), String(call));
});
