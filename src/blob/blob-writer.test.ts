/** Packed blobs, the blob of one large file, and clones: bytes, checksums, and a failure of every call. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, statSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { blobId, pattern, ScratchSpace, systems } from '../../testing/stores/scratch-space.ts';
import { BLOCK_SIZE, blocksFor, checksum64, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import { blobPath, sumPath } from './blob-path.ts';
import { BlobWriter } from './blob-writer.ts';
import { DamagedBlobError } from './damage.ts';
import { loadSums } from './sum-file.ts';

const ONE = blobId(1);

/** Every block of the blob has the checksum of its bytes, filled up with zeros. */
function checkSums(scratch: ScratchSpace, id = ONE): void {
  const bytes = scratch.bytesOf(id);
  const padded = Buffer.alloc(blocksFor(bytes.length) * BLOCK_SIZE);
  bytes.copy(padded);
  const sums = loadSums(scratch.faulty, scratch.directory, id);
  assert.equal(sums?.length, padded.length / BLOCK_SIZE);
  sums.forEach((sum, block) => {
    const at = block * BLOCK_SIZE;
    assert.equal(sum, checksum64(padded.subarray(at, at + BLOCK_SIZE)), `sum of block ${block}`);
  });
}

function packedTests(system: System): void {
  it('packs small files at block boundaries with zeroed tails', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20000 }), { minLength: 1, maxLength: 20 }),
        (lengths) => {
          using scratch = new ScratchSpace(system);
          const writer = BlobWriter.create(scratch.space, ONE);
          const files = lengths.map((length, index) => pattern(length, index));
          const spare = Buffer.alloc(30000, 0xaa);
          const starts = files.map((file) => {
            file.copy(spare);
            return writer.append(spare, file.length);
          });
          const lengthBytes = writer.finish();
          const blob = scratch.bytesOf(ONE);
          assert.equal(blob.length, lengthBytes);
          let next = 0;
          files.forEach((file, index) => {
            assert.equal(starts[index], next);
            const at = next * BLOCK_SIZE;
            next += blocksFor(file.length);
            assert.ok(blob.subarray(at, at + file.length).equals(file));
            assert.ok(
              blob.subarray(at + file.length, next * BLOCK_SIZE).every((byte) => byte === 0),
              'zero tail',
            );
          });
          assert.equal(lengthBytes, next * BLOCK_SIZE);
          checkSums(scratch);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('packs more than the buffer holds', () => {
    using scratch = new ScratchSpace(system);
    const writer = BlobWriter.create(scratch.space, ONE);
    const file = pattern(700_001);
    const starts = [0, 1, 2, 3].map(() => writer.append(file, file.length));
    assert.deepEqual(starts, [0, 171, 342, 513]);
    assert.equal(writer.finish(), 684 * BLOCK_SIZE);
    const space = scratch.reopen();
    const target = Buffer.alloc(file.length);
    for (const start of starts) {
      space.read(ONE, start * BLOCK_SIZE, target, 0, file.length);
      assert.ok(target.equals(file));
    }
    checkSums(scratch);
  });
}

function streamTests(system: System): void {
  it('a file of its own has the same bytes at the same places, also with holes', async () => {
    const piece = fc.oneof(
      fc.record({ bytes: fc.integer({ min: 1, max: 30 }) }),
      fc.record({ holes: fc.integer({ min: 1, max: 300 }) }),
    );
    const lengths = [fc.nat(9000), fc.nat(9000)] as const;
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 8 }), ...lengths, async (pieces, tail, end) => {
        using scratch = new ScratchSpace(system);
        const writer = BlobWriter.create(scratch.space, ONE);
        const model: Buffer[] = [];
        for (const piece of pieces) {
          if ('holes' in piece) {
            writer.skip(piece.holes);
            model.push(Buffer.alloc(piece.holes * BLOCK_SIZE));
          } else {
            const bytes = pattern(piece.bytes * BLOCK_SIZE, piece.bytes);
            await writer.appendPiece(bytes, bytes.length);
            model.push(bytes);
          }
        }
        const last = pattern(tail);
        await writer.appendPiece(last, tail);
        model.push(last, Buffer.alloc(end));
        const wanted = Buffer.concat(model);
        writer.complete(wanted.length);
        assert.equal(writer.finish(), wanted.length);
        assert.ok(scratch.bytesOf(ONE).equals(wanted));
        checkSums(scratch);
        const target = Buffer.alloc(wanted.length);
        scratch.reopen().read(ONE, 0, target, 0, wanted.length);
        assert.ok(target.equals(wanted));
      }),
      { numRuns: 30 },
    );
  });

  it('holes take no space', () => {
    using scratch = new ScratchSpace(system);
    const writer = BlobWriter.create(scratch.space, ONE);
    writer.skip(100_000);
    writer.append(pattern(10), 10);
    writer.finish();
    assert.equal(statSync(blobPath(scratch.directory, ONE)).size, 100_001 * BLOCK_SIZE);
    assert.ok(scratch.space.allocatedBytes(ONE) < 1e6);
  });

  it('ends inside a hole where the file does, and never before its last byte', () => {
    using scratch = new ScratchSpace(system);
    const writer = BlobWriter.create(scratch.space, ONE);
    writer.append(pattern(BLOCK_SIZE), BLOCK_SIZE);
    writer.skip(2);
    assert.throws(() => writer.complete(BLOCK_SIZE - 1), /before its last byte/);
    assert.throws(() => writer.complete(BLOCK_SIZE + 1), /before its last block/);
    writer.complete(2 * BLOCK_SIZE + 5);
    writer.finish();
    assert.equal(statSync(blobPath(scratch.directory, ONE)).size, 2 * BLOCK_SIZE + 5);
    checkSums(scratch);
  });

  it('an empty blob can be finished', () => {
    using scratch = new ScratchSpace(system);
    assert.equal(BlobWriter.create(scratch.space, ONE).finish(), 0);
    checkSums(scratch);
  });

  it('keeps the rules of packing and holes', async () => {
    using scratch = new ScratchSpace(system);
    const writer = BlobWriter.create(scratch.space, ONE);
    assert.throws(() => writer.append(pattern(1), 0), /takes no block/);
    assert.throws(() => writer.append(pattern(5), 6), /inside its array/);
    await writer.appendPiece(pattern(5), 5);
    const last = /after a block that is not whole/;
    assert.throws(() => writer.append(pattern(5), 5), last);
    assert.throws(() => writer.appendPiece(pattern(5), 5), last);
    assert.throws(() => writer.skip(1), last);
    writer.complete(5);
    writer.finish();
    const ended = /neither finished nor aborted/;
    assert.throws(() => writer.append(pattern(5), 5), ended);
    assert.throws(() => writer.skip(1), ended);
    assert.throws(() => writer.finish(), ended);
    assert.throws(() => writer.step(1), ended);
    writer.abort();
    assert.ok(existsSync(blobPath(scratch.directory, ONE)), 'abort does nothing to a finished blob');
  });
}

function failureTests(system: System): void {
  it('a blob whose writing fails at any call can be aborted and leaves nothing', () => {
    const run = (scratch: ScratchSpace): void => {
      const writer = BlobWriter.create(scratch.space, ONE);
      try {
        const bytes = pattern(600_000);
        writer.append(bytes, bytes.length);
        writer.append(bytes, bytes.length);
        writer.finish();
      } catch (error) {
        scratch.faulty.plan = undefined;
        writer.abort();
        throw error;
      }
    };
    let calls: number;
    {
      using scratch = new ScratchSpace(system);
      run(scratch);
      calls = scratch.faulty.callCount;
    }
    assert.ok(calls > 8, `${calls} calls`);
    for (let failing = 0; failing < calls; failing++) {
      using scratch = new ScratchSpace(system);
      scratch.faulty.plan = (_operation, index) =>
        index === failing ? { kind: 'error', code: 'ENOSPC' } : undefined;
      assert.throws(
        () => run(scratch),
        (error) => isFsError(error, 'ENOSPC'),
        `call ${failing}`,
      );
      scratch.faulty.plan = undefined;
      // A file whose creation failed may exist without a writer; unlink removes it.
      if (scratch.space.exists(ONE)) scratch.space.unlink(ONE);
      assert.equal(existsSync(sumPath(scratch.directory, ONE)), false);
      run(scratch);
      checkSums(scratch);
    }
  });

  it('stores sums only after the data is durable', () => {
    using scratch = new ScratchSpace(system);
    const order: string[] = [];
    scratch.faulty.plan = (operation, _index, path) => {
      if (/^(dataSync|pwrite|truncate|rename)$/.test(operation)) order.push(`${operation} ${path.slice(-4)}`);
      return undefined;
    };
    const writer = BlobWriter.create(scratch.space, ONE);
    writer.append(pattern(10), 10);
    writer.finish();
    assert.deepEqual(order, [
      'pwrite 0001',
      'truncate 0001',
      'dataSync 0001',
      'pwrite .tmp',
      'dataSync .tmp',
      'rename .tmp',
    ]);
  });
}

function cloneTests(system: System): void {
  it('leaves no blob where the host cannot clone', () => {
    using scratch = new ScratchSpace(system);
    const source = `${scratch.directory}/source`;
    writeFileSync(source, pattern(10));
    scratch.faulty.cloneFile = () => false;
    const fd = openSync(source, 'r');
    assert.equal(BlobWriter.fromClone(scratch.space, ONE, fd), undefined);
    scratch.faulty.cloneFile = () => {
      throw new Error('host trouble');
    };
    assert.throws(() => BlobWriter.fromClone(scratch.space, ONE, fd), /host trouble/);
    closeSync(fd);
    assert.deepEqual(scratch.space.list(), []);
    assert.equal(scratch.space.counts.openDescriptors, 0);
  });

  it('reads the sums of a clone back, in slices', () => {
    using scratch = new ScratchSpace(system);
    const bytes = pattern(900 * BLOCK_SIZE + 5);
    // Not every host can clone; a copy has the same content, and the writer sees nothing else.
    scratch.faulty.cloneFile = (_source, target) => {
      system.pwrite(target, bytes, 0, bytes.length, 0);
      system.truncate(target, bytes.length + 50 * BLOCK_SIZE);
      return true;
    };
    const writer = BlobWriter.fromClone(scratch.space, ONE, 0)!;
    assert.equal(writer.lengthBytes, bytes.length + 50 * BLOCK_SIZE);
    assert.throws(() => writer.append(bytes, 1), /nothing is added to a clone/);
    let steps = 1;
    while (!writer.step(100)) steps++;
    assert.ok(steps >= 10, `${steps} steps`);
    assert.equal(existsSync(sumPath(scratch.directory, ONE)), false);
    assert.throws(() => writer.complete(2 ** 30), /as long as its source/);
    assert.equal(writer.finish(), bytes.length + 50 * BLOCK_SIZE);
    checkSums(scratch);
    scratch.flipBit(ONE, 950 * BLOCK_SIZE + 4);
    assert.throws(
      () => scratch.reopen().read(ONE, 950 * BLOCK_SIZE, Buffer.alloc(5), 0, 5),
      (error) => error instanceof DamagedBlobError && error.block === 950,
    );
  });
}

for (const system of systems) {
  describe(`BlobWriter, ${system.kind} system`, () => {
    packedTests(system);
    streamTests(system);
    failureTests(system);
    cloneTests(system);
  });
}
