/** Reads, files, checksums and their faults, over each system that this machine has. */
import assert from 'node:assert/strict';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, it } from 'node:test';
import { blobId, pattern, ScratchSpace, systems } from '../../testing/stores/scratch-space.ts';
import { BLOCK_SIZE, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import { ActiveBlob } from './active-blob.ts';
import { blobPath, sumPath } from './blob-path.ts';
import { BlobWriter } from './blob-writer.ts';
import { DamagedBlobError } from './damage.ts';
import { Sealing } from './sealing.ts';
import { loadSums } from './sum-file.ts';
import { WINDOW_BYTES } from './window-pool.ts';

const ONE = blobId(0x1a3);

function writeBlob(scratch: ScratchSpace, id = ONE, bytes = pattern(10 * BLOCK_SIZE)): Buffer {
  const writer = BlobWriter.create(scratch.space, id);
  writer.append(bytes, bytes.length);
  writer.complete(bytes.length);
  writer.finish();
  return bytes;
}

function finish(sealing: Sealing): void {
  while (!sealing.step(4096));
}

function readOf(scratch: ScratchSpace, position: number, length: number, id = ONE): Buffer {
  const target = Buffer.alloc(length + 2, 0xee);
  scratch.space.read(id, position, target, 1, length);
  assert.equal(target[0], 0xee, 'the byte before the target range is left alone');
  assert.equal(target[length + 1], 0xee, 'the byte after the target range is left alone');
  return target.subarray(1, length + 1);
}

/** Checks all of an EIO: the class, the blob, the block and the note. */
function damage(block: number | undefined, problem: RegExp, id = ONE): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DamagedBlobError, `a DamagedBlobError: ${error}`);
    assert.equal(error.code, 'EIO');
    assert.equal(error.blob, id);
    assert.equal(error.block, block);
    assert.match(error.note ?? '', problem);
    assert.match(error.note ?? '', /blob [0-9a-f]{16}/);
    return true;
  };
}

function readTests(system: System): void {
  it('reads any range, on first touch and after it', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    const ranges = [
      [0, 1],
      [4095, 2],
      [100, 9000],
      [4096, 8192],
      [0, bytes.length],
      [bytes.length - 1, 1],
      [5000, 0],
    ];
    for (const [position, length] of ranges) {
      scratch.reopen();
      const wanted = bytes.subarray(position!, position! + length!);
      for (let turn = 0; turn < 3; turn++) assert.deepEqual(readOf(scratch, position!, length!), wanted);
    }
  });

  it('reads ranges longer than one chunk, partly touched', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch, ONE, pattern(600 * BLOCK_SIZE + 17));
    scratch.reopen();
    for (const block of [0, 3, 299, 300, 511]) readOf(scratch, block * BLOCK_SIZE, BLOCK_SIZE);
    assert.ok(readOf(scratch, 5, bytes.length - 5).equals(bytes.subarray(5)));
    assert.equal(scratch.space.counts.blocksVerified, 601, 'each block is verified once');
  });

  it('reads across window borders', () => {
    using scratch = new ScratchSpace(system);
    const writer = BlobWriter.create(scratch.space, ONE);
    const bytes = pattern(4 * BLOCK_SIZE);
    writer.skip(WINDOW_BYTES / BLOCK_SIZE - 2);
    writer.append(bytes, bytes.length);
    writer.finish();
    scratch.reopen();
    for (let turn = 0; turn < 3; turn++) {
      assert.deepEqual(readOf(scratch, WINDOW_BYTES - 8192, bytes.length), bytes);
      assert.deepEqual(readOf(scratch, WINDOW_BYTES - 3, 7), bytes.subarray(8189, 8196));
    }
    if (system.canMap) assert.equal(scratch.space.counts.windows, 2);
  });

  it('reads warm blocks without a system call where it can map', { skip: !system.canMap }, () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    scratch.reopen();
    for (let turn = 0; turn < 2; turn++) readOf(scratch, 0, bytes.length);
    const calls = scratch.faulty.callCount;
    assert.deepEqual(readOf(scratch, 4000, 9000), bytes.subarray(4000, 13000));
    assert.equal(scratch.faulty.callCount, calls);
  });

  it('serves correct bytes with few windows and few descriptors', () => {
    using scratch = new ScratchSpace(system);
    const ids = [1, 2, 3, 0x104, 0x204].map(blobId);
    const contents = ids.map((id, index) => writeBlob(scratch, id, pattern(3 * BLOCK_SIZE, index)));
    scratch.reopen({ descriptorsMax: 2, windowsMax: 2 });
    for (let turn = 0; turn < 40; turn++) {
      ids.forEach((id, index) => {
        assert.deepEqual(readOf(scratch, 1000, 9000, id), contents[index]!.subarray(1000, 10000));
      });
    }
    assert.ok(scratch.space.counts.openDescriptors <= 2);
    assert.ok(scratch.space.counts.windows <= 2);
    assert.equal(scratch.space.counts.blocksVerified, 15, 'what was verified stays known');
  });

  it('gives a window to what is read often when all are taken', { skip: !system.canMap }, () => {
    using scratch = new ScratchSpace(system);
    const contents = [1, 2].map((id) => writeBlob(scratch, blobId(id), pattern(BLOCK_SIZE, id)));
    scratch.reopen({ windowsMax: 1 });
    const preadsOf = (id: number): number => {
      const before = scratch.faulty.count('pread');
      assert.deepEqual(readOf(scratch, 0, BLOCK_SIZE, blobId(id)), contents[id - 1]);
      return scratch.faulty.count('pread') - before;
    };
    for (const id of [1, 2]) for (let turn = 0; turn < 2; turn++) preadsOf(id);
    assert.equal(preadsOf(1), 0, 'the first has the window');
    assert.equal(preadsOf(2), 1);
    for (let turn = 0; turn < 40; turn++) preadsOf(2);
    assert.equal(preadsOf(2), 0);
    assert.equal(preadsOf(1), 1);
    assert.equal(scratch.space.counts.windows, 1);
  });

  it('lets go of the windows of a blob that is unlinked', { skip: !system.canMap }, () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch, blobId(2));
    writeBlob(scratch, ONE);
    for (const id of [ONE, blobId(2)]) readOf(scratch, 0, 10, id);
    const maps = (): number => readFileSync('/proc/self/maps', 'latin1').split(scratch.directory).length - 1;
    assert.equal(maps(), 2);
    scratch.space.unlink(ONE);
    assert.equal(maps(), 1);
    assert.equal(scratch.space.counts.windows, 1);
    assert.deepEqual(readOf(scratch, 0, bytes.length, blobId(2)), bytes);
    scratch.space.close();
    assert.equal(maps(), 0);
  });

  it('keeps a pinned descriptor open while others come and go', () => {
    using scratch = new ScratchSpace(system);
    const ids = [1, 2, 3].map(blobId);
    for (const id of ids) writeBlob(scratch, id);
    const space = scratch.reopen({ descriptorsMax: 1 });
    const file = space.files.of(ids[0]!);
    const fd = space.files.pin(file);
    for (const id of ids) readOf(scratch, 0, 10, id);
    assert.equal(space.descriptor(ids[0]!), fd);
    assert.deepEqual(scratch.space.counts.openDescriptors, 2, 'the pinned one and the last one');
    space.files.unpin(file);
    assert.throws(() => space.files.unpin(file), /pinned/);
    readOf(scratch, 0, 8192, ids[1]);
    readOf(scratch, 0, 8192, ids[2]);
    assert.ok(space.counts.openDescriptors <= 2);
  });

  it('falls back to pread when no more maps can be made', { skip: !system.canMap }, () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    for (const refused of ['reserve', 'mapView'] as const) {
      scratch.reopen();
      scratch.faulty.plan = (operation) =>
        operation === refused ? { kind: 'error', code: 'ENOMEM' } : undefined;
      for (let turn = 0; turn < 3; turn++) assert.deepEqual(readOf(scratch, 0, bytes.length), bytes);
      assert.equal(scratch.space.counts.windows, 0);
      scratch.faulty.plan = undefined;
      assert.deepEqual(readOf(scratch, 0, bytes.length), bytes);
      assert.equal(scratch.space.counts.windows, 1, 'it maps again when there is room');
    }
  });

  it('gives descriptors back when the process has none left', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch, blobId(1));
    const bytes = writeBlob(scratch, blobId(2));
    scratch.reopen();
    readOf(scratch, 0, 1, blobId(1));
    let refusals = 1;
    scratch.faulty.plan = (operation, _index, path) =>
      operation === 'open' && path.endsWith('02') && refusals-- > 0
        ? { kind: 'error', code: 'EMFILE' }
        : undefined;
    assert.deepEqual(readOf(scratch, 0, bytes.length, blobId(2)), bytes);
    assert.equal(scratch.space.counts.openDescriptors, 1);
    scratch.reopen();
    scratch.faulty.plan = (operation) =>
      operation === 'open' ? { kind: 'error', code: 'EMFILE' } : undefined;
    assert.throws(
      () => readOf(scratch, 0, 1, blobId(1)),
      (error) => isFsError(error, 'EMFILE'),
    );
  });
}

function tryReadTests(system: System): void {
  it('tryRead reads cached bytes, and is false where the disk is needed', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    const space = scratch.reopen();
    const target = Buffer.alloc(bytes.length);
    scratch.faulty.plan = undefined;
    if (system.tryPread(space.descriptor(ONE), target, 0, 10, 0) === -1) {
      assert.equal(space.tryRead(ONE, 0, target, 0, 10), false, 'a system that cannot tell always says no');
      return;
    }
    assert.equal(space.tryRead(ONE, 100, target, 0, 5000), true);
    assert.deepEqual(target.subarray(0, 5000), bytes.subarray(100, 5100));
    assert.equal(space.tryRead(ONE, 0, target, 0, bytes.length), true);
    assert.deepEqual(target, bytes);
    assert.equal(space.tryRead(ONE, 0, target, 0, 0), true);
  });

  it('tryRead is false where the system would wait, also for touched blocks; read waits', () => {
    // A system whose page cache is always empty.
    const cold: System = Object.create(system, { tryPread: { value: () => -1 } });
    using scratch = new ScratchSpace(cold);
    const bytes = writeBlob(scratch);
    const target = Buffer.alloc(bytes.length);
    for (const [position, length] of [
      [0, bytes.length],
      [0, 4096],
      [10, 20],
    ] as const) {
      const space = scratch.reopen();
      assert.equal(space.tryRead(ONE, position, target, 0, length), false);
      assert.equal(space.counts.blocksVerified, 0);
      assert.deepEqual(readOf(scratch, position, length), bytes.subarray(position, position + length));
      assert.equal(space.tryRead(ONE, position, target, 0, length), false);
    }
  });

  it('tryRead verifies like read', { skip: system.kind === 'buffered' }, () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    scratch.flipBit(ONE, 2 * BLOCK_SIZE + 1);
    const space = scratch.reopen();
    const target = Buffer.alloc(bytes.length);
    assert.equal(space.tryRead(ONE, 0, target, 0, 8192), true);
    assert.throws(() => space.tryRead(ONE, 8192, target, 0, 1), damage(2, /checksum does not match/));
    assert.throws(() => space.tryRead(ONE, 0, target, 0, bytes.length), damage(2, /checksum does not match/));
  });
}

function damageTests(system: System): void {
  it('gives EIO naming the block for every flipped bit and leaves the others readable', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch, ONE, pattern(5 * BLOCK_SIZE + 100));
    for (const [position, block] of [
      [0, 0],
      [3 * BLOCK_SIZE - 1, 2],
      [5 * BLOCK_SIZE + 99, 5],
    ] as const) {
      scratch.flipBit(ONE, position);
      scratch.reopen();
      for (let turn = 0; turn < 2; turn++) {
        const whole = Math.min(BLOCK_SIZE, bytes.length - block * BLOCK_SIZE);
        const mismatch = damage(block, /checksum does not match/);
        assert.throws(() => readOf(scratch, block * BLOCK_SIZE, whole), mismatch);
        assert.throws(() => readOf(scratch, block * BLOCK_SIZE + 10, 1), mismatch);
        assert.throws(() => readOf(scratch, 0, bytes.length), mismatch);
        for (let other = 0; other < 6; other++) {
          if (other === block) continue;
          const end = Math.min((other + 1) * BLOCK_SIZE, bytes.length);
          const wanted = bytes.subarray(other * BLOCK_SIZE, end);
          assert.deepEqual(readOf(scratch, other * BLOCK_SIZE, wanted.length), wanted);
        }
      }
      scratch.flipBit(ONE, position);
    }
    scratch.reopen();
    assert.deepEqual(readOf(scratch, 0, bytes.length), bytes);
  });

  it('names the block that the disk cannot read, also within a long read', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    scratch.reopen();
    scratch.space.descriptor(ONE);
    let preads = 0;
    // The first pread of data is the long one, and fails; the preads of single blocks follow, and the fourth fails.
    scratch.faulty.plan = (operation, _index, path) => {
      if (operation !== 'pread' || path.endsWith('.sum')) return undefined;
      preads++;
      return preads === 1 || preads === 5 ? { kind: 'error', code: 'EIO' } : undefined;
    };
    assert.throws(() => readOf(scratch, 0, bytes.length), damage(3, /the disk cannot read it/));
    assert.equal(preads, 5);
    assert.deepEqual(readOf(scratch, 0, bytes.length), bytes, 'it is read again when the disk recovers');
    scratch.reopen();
    preads = 0;
    assert.throws(() => readOf(scratch, 4096 * 7 + 5, 10), damage(7, /the disk cannot read it/));
  });

  it('passes on errors of the disk other than EIO', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    scratch.reopen();
    scratch.faulty.plan = (operation) =>
      operation === 'pread' ? { kind: 'error', code: 'ENOMEM' } : undefined;
    assert.throws(
      () => readOf(scratch, 0, 10),
      (error) => isFsError(error, 'ENOMEM'),
    );
  });

  it('gives EIO beyond the last block of the file, before and after it was cut', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch, ONE, pattern(2 * BLOCK_SIZE + 100));
    const space = scratch.reopen();
    const end = 3 * BLOCK_SIZE;
    assert.throws(() => readOf(scratch, end, 1), damage(2, /8292 bytes, 12289 are wanted/));
    assert.throws(() => readOf(scratch, 0, end + 1), damage(2, /8292 bytes/));
    assert.throws(() => readOf(scratch, 2 ** 40, 1), damage(2, /are wanted/));
    assert.deepEqual(readOf(scratch, 0, bytes.length), bytes);
    truncateSync(blobPath(scratch.directory, ONE), BLOCK_SIZE + 10);
    scratch.reopen();
    assert.throws(() => readOf(scratch, 2 * BLOCK_SIZE, 1), damage(1, /4106 bytes, 8193 are wanted/));
    assert.throws(() => readOf(scratch, BLOCK_SIZE, 10), damage(1, /checksum does not match/));
    assert.deepEqual(readOf(scratch, 0, BLOCK_SIZE), bytes.subarray(0, BLOCK_SIZE));
    assert.notEqual(space, scratch.space);
  });

  it('reads zeros in the last block after the end of the file', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch, ONE, pattern(BLOCK_SIZE + 100));
    scratch.reopen();
    const padded = Buffer.alloc(2 * BLOCK_SIZE);
    bytes.copy(padded);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(readOf(scratch, BLOCK_SIZE, BLOCK_SIZE), padded.subarray(BLOCK_SIZE));
      assert.deepEqual(
        readOf(scratch, BLOCK_SIZE + 90, 20),
        padded.subarray(BLOCK_SIZE + 90, BLOCK_SIZE + 110),
      );
      assert.deepEqual(readOf(scratch, BLOCK_SIZE + 200, 20), Buffer.alloc(20));
      assert.deepEqual(readOf(scratch, 0, 2 * BLOCK_SIZE), padded);
    }
  });

  it('gives EIO when a pread comes back short', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    scratch.reopen();
    scratch.space.descriptor(ONE);
    scratch.faulty.plan = (operation, _index, path) =>
      operation === 'pread' && !path.endsWith('.sum') ? { kind: 'short', bytes: 100 } : undefined;
    assert.throws(() => readOf(scratch, 0, 8192), damage(10, /are wanted/));
    assert.throws(() => readOf(scratch, 50, 51), damage(10, /are wanted/));
  });

  it('gives EIO when the file is missing', () => {
    using scratch = new ScratchSpace(system);
    assert.throws(() => readOf(scratch, 0, 1), damage(undefined, /its file is missing/));
    assert.throws(() => scratch.space.descriptor(ONE), damage(undefined, /its file is missing/));
    assert.equal(scratch.space.exists(ONE), false);
  });

  it('gives EIO naming the checksum file when that is damaged, wherever the bit flipped', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    for (const position of [0, 8, 12, 16, 24, 30, 32, 100, 32 + 80, 32 + 87]) {
      scratch.flipSumBit(ONE, position);
      scratch.reopen();
      for (let turn = 0; turn < 2; turn++) {
        assert.throws(() => readOf(scratch, 0, 10), damage(undefined, /checksum file .*\.sum is damaged/));
      }
      scratch.flipSumBit(ONE, position);
      scratch.space.setSealed(ONE);
      assert.deepEqual(readOf(scratch, 0, bytes.length), bytes, 'a repaired file is seen after setSealed');
    }
    for (const length of [0, 20, 32, 100]) {
      truncateSync(sumPath(scratch.directory, ONE), length);
      scratch.reopen();
      assert.throws(() => readOf(scratch, 0, 10), damage(undefined, /is damaged/));
    }
  });

  it('gives EIO naming the checksum file while the disk cannot read it', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    scratch.reopen();
    scratch.faulty.plan = (operation, _index, path) =>
      operation === 'pread' && path.endsWith('.sum') ? { kind: 'error', code: 'EIO' } : undefined;
    assert.throws(
      () => readOf(scratch, 0, 10),
      (error) => isFsError(error, 'EIO') && /cannot read the checksum file .*\.sum/.test(error.note ?? ''),
    );
    scratch.faulty.plan = undefined;
    assert.deepEqual(readOf(scratch, 0, bytes.length), bytes);
    assert.equal(scratch.space.counts.blocksVerified, 10);
  });

  it('gives EIO for a block that has no checksum in a sealed blob', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    const fd = openSync(blobPath(scratch.directory, ONE), 'r+');
    ftruncateSync(fd, 11 * BLOCK_SIZE);
    closeSync(fd);
    scratch.reopen();
    assert.throws(() => readOf(scratch, 10 * BLOCK_SIZE, 5), damage(10, /it has no checksum/));
  });

  it('reads a blob without checksums as it is', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    unlinkSync(sumPath(scratch.directory, ONE));
    scratch.flipBit(ONE, 5);
    scratch.reopen();
    assert.equal(readOf(scratch, 5, 1)[0], bytes[5]! ^ 0x10);
    assert.equal(
      scratch.space.verify(ONE, 0, 10, () => assert.fail('nothing to compare')),
      false,
    );
  });
}

function fileTests(system: System): void {
  it('makes, lists and unlinks files', () => {
    using scratch = new ScratchSpace(system);
    const { space } = scratch;
    assert.deepEqual(space.list(), []);
    const ids = [1, 0x101, 2 ** 52 + 7].map(blobId);
    for (const id of ids) writeBlob(scratch, id);
    writeFileSync(`${scratch.directory}/01/not-a-blob`, '');
    writeFileSync(`${scratch.directory}/01/0000000000000002`, '');
    writeFileSync(`${scratch.directory}/ff`, '');
    assert.deepEqual(
      space.list().sort((a, b) => a - b),
      ids,
    );
    assert.ok(ids.every((id) => space.exists(id)));
    assert.throws(() => space.files.create(ids[0]!), /internal invariant/, 'it is open here');
    assert.throws(
      () => scratch.reopen().files.create(ids[0]!),
      (error) => isFsError(error, 'EEXIST'),
    );
    scratch.space.unlink(ids[0]!);
    scratch.space.unlink(ids[0]!);
    assert.equal(scratch.space.exists(ids[0]!), false);
    assert.equal(existsSync(sumPath(scratch.directory, ids[0]!)), false);
    assert.throws(() => readOf(scratch, 0, 1, ids[0]), damage(undefined, /missing/, ids[0]));
    assert.deepEqual(readOf(scratch, 0, 1, ids[1]), pattern(1));
  });

  it('does not unlink a blob in use', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    const { files } = scratch.space;
    files.pin(files.of(ONE));
    assert.throws(() => scratch.space.unlink(ONE), /not in use/);
    assert.ok(scratch.space.exists(ONE));
    files.unpin(files.of(ONE));
  });

  it('knows lengths and allocated bytes', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch, ONE, pattern(2 * BLOCK_SIZE + 1));
    assert.equal(scratch.space.lengthBytes(ONE), 2 * BLOCK_SIZE + 1);
    assert.equal(scratch.space.lengthBlocks(ONE), 3);
    assert.ok(scratch.space.allocatedBytes(ONE) >= 2 * BLOCK_SIZE);
  });

  it('tells which blocks are in the page cache', { skip: !system.canMap }, () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    assert.deepEqual([...scratch.space.residentBlocks(ONE, 8, 4)], [1, 1, 0, 0]);
  });

  it('cannot tell residency where the system cannot map', { skip: system.canMap }, () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    assert.throws(
      () => scratch.space.residentBlocks(ONE, 0, 1),
      (error) => isFsError(error, 'ENOTSUP'),
    );
  });

  it('punched blocks are given back and read as EIO; their neighbours stay', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    readOf(scratch, 0, bytes.length);
    const before = scratch.space.allocatedBytes(ONE);
    if (!scratch.space.punch(ONE, 2, 3)) return; // The buffered system cannot punch holes.
    assert.ok(scratch.space.allocatedBytes(ONE) < before);
    for (const block of [2, 3, 4]) {
      assert.throws(() => readOf(scratch, block * BLOCK_SIZE, 8), damage(block, /checksum does not match/));
    }
    assert.deepEqual(readOf(scratch, 0, 2 * BLOCK_SIZE), bytes.subarray(0, 2 * BLOCK_SIZE));
    assert.deepEqual(readOf(scratch, 5 * BLOCK_SIZE, 5 * BLOCK_SIZE), bytes.subarray(5 * BLOCK_SIZE));
    const bad: number[] = [];
    scratch.space.verify(ONE, 5, 5, (block) => bad.push(block));
    assert.deepEqual(bad, []);
  });
}

function sealTests(system: System): void {
  it('seals a frozen blob in slices; afterwards damage is found', () => {
    using scratch = new ScratchSpace(system);
    const active = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(700 * BLOCK_SIZE);
    active.write(active.allocate(700) * BLOCK_SIZE, bytes, 0, bytes.length);
    const lengthBlocks = active.cutTail();
    active.close();
    const sealing = new Sealing(scratch.space, ONE, lengthBlocks);
    let steps = 0;
    while (!sealing.step(100)) steps++;
    assert.ok(steps >= 7, `${steps} slices for 700 blocks`);
    assert.ok(loadSums(system, scratch.directory, ONE));
    assert.equal(sealing.step(1), true);
    scratch.flipBit(ONE, 650 * BLOCK_SIZE);
    scratch.reopen();
    assert.throws(() => readOf(scratch, 650 * BLOCK_SIZE, 10), damage(650, /checksum does not match/));
    assert.deepEqual(readOf(scratch, 0, 600 * BLOCK_SIZE), bytes.subarray(0, 600 * BLOCK_SIZE));
  });

  it('a failed step of sealing can be tried again, and leaves no half checksum file', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch);
    for (const operation of ['pread', 'dataSync', 'pwrite', 'rename', 'syncDirectory'] as const) {
      if (existsSync(sumPath(scratch.directory, ONE))) unlinkSync(sumPath(scratch.directory, ONE));
      scratch.space.setSealed(ONE);
      const sealing = new Sealing(scratch.space, ONE, 10);
      scratch.faulty.plan = (called) => (called === operation ? { kind: 'error', code: 'EIO' } : undefined);
      assert.throws(
        () => finish(sealing),
        (error) => isFsError(error, 'EIO'),
        operation,
      );
      if (operation !== 'syncDirectory') assert.equal(existsSync(sumPath(scratch.directory, ONE)), false);
      scratch.faulty.plan = undefined;
      finish(sealing);
      scratch.reopen();
      assert.deepEqual(readOf(scratch, 0, bytes.length), bytes);
      assert.equal(scratch.space.counts.blocksVerified, 10);
    }
  });

  it('does not seal beyond the end of the file', () => {
    using scratch = new ScratchSpace(system);
    writeBlob(scratch);
    const sealing = new Sealing(scratch.space, ONE, 11);
    assert.throws(() => finish(sealing), damage(10, /are wanted/));
  });

  it('scrub finds each bad block and nothing else', () => {
    using scratch = new ScratchSpace(system);
    const bytes = writeBlob(scratch, ONE, pattern(600 * BLOCK_SIZE + 5));
    readOf(scratch, 0, bytes.length);
    const scrub = (start: number, count: number): [number, string][] => {
      const bad: [number, string][] = [];
      assert.ok(scratch.space.verify(ONE, start, count, (block, problem) => bad.push([block, problem])));
      return bad;
    };
    assert.deepEqual(scrub(0, 601), []);
    for (const block of [0, 300, 600]) scratch.flipBit(ONE, block * BLOCK_SIZE + 1);
    const mismatch = 'checksum does not match';
    assert.deepEqual(
      scrub(0, 601),
      [0, 300, 600].map((block) => [block, mismatch]),
    );
    assert.deepEqual(scrub(1, 299), []);
    assert.deepEqual(scrub(300, 1), [[300, mismatch]]);
    assert.throws(() => readOf(scratch, 300 * BLOCK_SIZE, 1), damage(300, /checksum does not match/));
    assert.deepEqual(scrub(601, 1), [[601, 'it lies beyond the end of the file']]);
    let preads = 0;
    scratch.faulty.plan = (operation) => {
      if (operation !== 'pread') return undefined;
      preads++;
      return preads === 1 || preads === 9 ? { kind: 'error', code: 'EIO' } : undefined;
    };
    assert.deepEqual(scrub(20, 10), [[27, 'the disk cannot read it']]);
  });
}

for (const system of systems) {
  describe(`BlobSpace, ${system.kind} system`, () => {
    readTests(system);
    tryReadTests(system);
    damageTests(system);
    fileTests(system);
    sealTests(system);
  });
}
