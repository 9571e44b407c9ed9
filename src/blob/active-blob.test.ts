/** The active blob, compared with a naive model that counts every block, and its growth, reuse, syncs and faults. */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { blobId, pattern, ScratchSpace, systems } from '../../testing/stores/scratch-space.ts';
import { BLOCK_SIZE, isFsError } from '../base/index.ts';
import { CrashedError, type System } from '../sys/index.ts';
import { ActiveBlob, type PhysicalRun } from './active-blob.ts';
import { blobPath } from './blob-path.ts';
import { DamagedBlobError } from './damage.ts';

const ONE = blobId(1);

type Step =
  | { readonly kind: 'allocate'; readonly count: number }
  | {
      readonly kind: 'share' | 'drop' | 'release';
      readonly pick: number;
      readonly from: number;
      readonly to: number;
    }
  | { readonly kind: 'mark' | 'durable' | 'sync' | 'reopen' };

const part = { pick: fc.nat(), from: fc.nat(99), to: fc.nat(99) };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('allocate' as const), count: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('allocate' as const),
      count: fc.integer({ min: 60, max: 200 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('share' as const, 'drop' as const, 'release' as const),
      ...part,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('mark' as const, 'durable' as const, 'sync' as const, 'reopen' as const),
    }),
  },
);

/** The naive model: the count of every block, and which blocks wait for a commit mark. */
class Model {
  readonly refs = new Map<number, number>();
  readonly pending = new Set<number>();
  /** Blocks handed out since the last commit mark. */
  readonly fresh = new Set<number>();
  readonly unshared = new Set<number>();
  readonly runs: { readonly start: number; readonly end: number }[] = [];

  take(start: number, count: number): void {
    for (let block = start; block < start + count; block++) {
      assert.ok(!this.refs.has(block), `block ${block} was handed out while in use`);
      assert.ok(!this.pending.has(block), `block ${block} was handed out while pending`);
      this.refs.set(block, 1);
      this.fresh.add(block);
    }
    this.runs.push({ start, end: start + count });
  }

  /** A part of a run that was handed out; undefined if a block of the part has no references. */
  part(step: { pick: number; from: number; to: number }): { start: number; count: number } | undefined {
    const run = this.runs[step.pick % Math.max(1, this.runs.length)];
    if (run === undefined) return undefined;
    const length = run.end - run.start;
    const a = run.start + (step.from % length);
    const b = run.start + (step.to % length);
    const start = Math.min(a, b);
    const count = Math.abs(a - b) + 1;
    for (let block = start; block < start + count; block++) if (!this.refs.has(block)) return undefined;
    return { start, count };
  }

  share(start: number, count: number): void {
    for (let block = start; block < start + count; block++) this.refs.set(block, this.refs.get(block)! + 1);
  }

  drop(start: number, count: number): void {
    let unused: number[] = [];
    let left: number[] = [];
    for (let block = start; block < start + count; block++) {
      const refs = this.refs.get(block)! - 1;
      this.refs.set(block, refs);
      if (refs === 0) {
        unused.push(block);
        left = this.unshare(left);
      } else {
        left.push(block);
        unused = this.free(unused);
      }
    }
    this.free(unused);
    this.unshare(left);
  }

  /** These blocks lost a reference; a power cut may bring that back, unless all were handed out since the last mark. */
  private unshare(run: number[]): number[] {
    if (!run.every((block) => this.fresh.has(block))) for (const block of run) this.unshared.add(block);
    return [];
  }

  release(start: number, count: number): void {
    this.free(Array.from({ length: count }, (_, index) => start + index));
  }

  /** Frees a run at once only if a power cut cannot bring any block of it back. */
  private free(run: number[]): number[] {
    const isFresh = run.every((block) => this.fresh.has(block));
    for (const block of run) {
      this.refs.delete(block);
      this.unshared.delete(block);
      if (!isFresh) this.pending.add(block);
    }
    return [];
  }

  mark(): void {
    this.fresh.clear();
  }

  durable(): void {
    this.fresh.clear();
    this.pending.clear();
    this.unshared.clear();
  }

  *physicalRuns(): Generator<PhysicalRun> {
    for (const [block, refs] of this.refs) for (let n = 0; n < refs; n++) yield { physical: block, count: 1 };
  }
}

function apply(blob: ActiveBlob, model: Model, step: Step): void {
  switch (step.kind) {
    case 'allocate': {
      const start = blob.allocate(step.count);
      model.take(start, step.count);
      for (let block = start; block < start + step.count; block++) {
        blob.write(block * BLOCK_SIZE, pattern(BLOCK_SIZE, block), 0, BLOCK_SIZE);
      }
      return;
    }
    case 'mark':
      blob.beforeMark();
      model.mark();
      return;
    case 'durable':
      blob.durable();
      model.durable();
      return;
    case 'sync':
      blob.sync();
      return;
    case 'reopen':
      return;
    default: {
      const part = model.part(step);
      if (part === undefined) return;
      const method = { share: 'addRefs', drop: 'dropRefs', release: 'release' } as const;
      blob[method[step.kind]](part.start, part.count);
      model[step.kind](part.start, part.count);
    }
  }
}

function check(scratch: ScratchSpace, blob: ActiveBlob, model: Model): void {
  const end = blob.lengthBlocks;
  for (let block = 0; block < end; block++) {
    const refs = model.refs.get(block) ?? 0;
    assert.equal(blob.refs(block), refs);
    assert.equal(blob.isExclusive(block), refs === 1 && !model.unshared.has(block));
  }
  assert.equal(blob.pendingBlocks, model.pending.size);
  assert.equal(end - blob.freeBlocks - blob.pendingBlocks, model.refs.size, 'every block is in one state');
  const sizeBlocks = statSync(blobPath(scratch.directory, ONE)).size / BLOCK_SIZE;
  assert.ok(sizeBlocks >= end + blob.allocatedTailBlocks, 'all blocks handed out lie inside the file');
  const target = Buffer.alloc(BLOCK_SIZE);
  for (const block of model.refs.keys()) {
    scratch.space.read(ONE, block * BLOCK_SIZE, target, 0, BLOCK_SIZE);
    assert.ok(target.equals(pattern(BLOCK_SIZE, block)), `block ${block} holds what was written`);
  }
}

function modelTests(system: System): void {
  it('never hands out a used or pending block, whatever happens before', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        using scratch = new ScratchSpace(system);
        let blob = ActiveBlob.create(scratch.space, ONE);
        const model = new Model();
        for (const step of steps) {
          if (step.kind === 'reopen') {
            blob.close();
            blob = ActiveBlob.open(scratch.reopen(), ONE, model.physicalRuns());
            model.durable();
          } else {
            apply(blob, model, step);
          }
        }
        check(scratch, blob, model);
        const used = [...model.refs.keys(), ...model.pending].reduce(
          (end, block) => Math.max(end, block + 1),
          0,
        );
        assert.equal(blob.cutTail(), used, 'the file is cut after the last block that anyone could name');
        assert.equal(statSync(blobPath(scratch.directory, ONE)).size, used * BLOCK_SIZE);
      }),
      { numRuns: 60 },
    );
  });

  it('an allocation that fails with ENOSPC changes nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 300 }), (steps, count) => {
        using scratch = new ScratchSpace(system);
        const blob = ActiveBlob.create(scratch.space, ONE);
        const model = new Model();
        for (const step of steps) apply(blob, model, step);
        const before = [blob.lengthBlocks, blob.freeBlocks, blob.pendingBlocks, blob.allocatedTailBlocks];
        const size = statSync(blobPath(scratch.directory, ONE)).size;
        scratch.faulty.plan = (operation) =>
          operation === 'allocate' ? { kind: 'error', code: 'ENOSPC' } : undefined;
        try {
          const start = blob.allocate(count);
          model.take(start, count);
          blob.dropRefs(start, count);
          model.drop(start, count);
        } catch (error) {
          assert.ok(isFsError(error, 'ENOSPC'));
          const after = [blob.lengthBlocks, blob.freeBlocks, blob.pendingBlocks, blob.allocatedTailBlocks];
          assert.deepEqual(after, before);
          assert.equal(statSync(blobPath(scratch.directory, ONE)).size, size);
        }
        scratch.faulty.plan = undefined;
        check(scratch, blob, model);
        const start = blob.allocate(count);
        model.take(start, count);
        blob.close();
      }),
      { numRuns: 40 },
    );
  });
}

function growthTests(system: System): void {
  it('grows by 32 KiB, doubling to 16 MiB, before it hands out', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const sizes: number[] = [];
    let total = 0;
    while (sizes.length < 12) {
      total++;
      assert.equal(blob.allocate(1), total - 1);
      const blocks = statSync(blobPath(scratch.directory, ONE)).size / BLOCK_SIZE;
      assert.ok(blocks >= total);
      if (sizes.at(-1) !== blocks) sizes.push(blocks);
      assert.equal(blob.allocatedTailBlocks, blocks - total);
    }
    const growth = sizes.map((size, index) => size - (sizes[index - 1] ?? 0));
    assert.deepEqual(growth, [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096]);
  });

  it('allocates only what is needed when the disk is too full for a whole step', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    let calls = 0;
    scratch.faulty.plan = (operation) =>
      operation === 'allocate' && ++calls === 1 ? { kind: 'error', code: 'ENOSPC' } : undefined;
    assert.equal(blob.allocate(3), 0);
    assert.equal(calls, 2);
    assert.equal(blob.allocatedTailBlocks, 0);
    assert.equal(statSync(blobPath(scratch.directory, ONE)).size, 3 * BLOCK_SIZE);
  });

  it('fails with the error of the host when that is not a full disk', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    let calls = 0;
    scratch.faulty.plan = (operation) =>
      operation === 'allocate' && ++calls > 0 ? { kind: 'error', code: 'EIO' } : undefined;
    assert.throws(
      () => blob.allocate(1),
      (error) => isFsError(error, 'EIO'),
    );
    assert.equal(calls, 1, 'there is no second try');
    assert.equal(blob.lengthBlocks, 0);
  });

  it('reuses the first free run that is long enough, only after durable', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    for (let n = 0; n < 10; n++) blob.allocate(4);
    blob.beforeMark();
    blob.dropRefs(4, 2);
    blob.dropRefs(12, 4);
    assert.equal(blob.allocate(2), 40, 'pending blocks are not reused');
    blob.durable();
    assert.equal(blob.allocate(3), 12);
    assert.equal(blob.allocate(2), 4);
    assert.equal(blob.allocate(1), 15);
    assert.equal(blob.allocate(1), 42);
    assert.equal(blob.freeBlocks, 0);
  });

  it('reuses at once only blocks that were handed out and freed between two commit marks', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(4);
    blob.dropRefs(1, 2);
    assert.equal(blob.allocate(2), 1, 'no mark names it');
    blob.beforeMark();
    blob.release(1, 2);
    assert.equal(blob.allocate(2), 4, 'a mark may name it');
    blob.release(3, 3);
    assert.equal(blob.pendingBlocks, 5, 'a run of which a part may be named waits as a whole');
    blob.allocate(1);
    blob.durable();
    blob.release(6, 1);
    assert.equal(blob.pendingBlocks, 1, 'durable ends what is fresh, with no beforeMark too');
  });

  it('punches long freed runs and allocates their space again before reuse', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(200 * BLOCK_SIZE);
    blob.write(blob.allocate(200) * BLOCK_SIZE, bytes, 0, bytes.length);
    blob.sync();
    blob.durable();
    const before = scratch.space.allocatedBytes(ONE);
    blob.dropRefs(10, 100);
    blob.durable();
    if (scratch.faulty.count('punch') === 0) assert.fail('a run of 100 blocks is punched');
    const isPunched = scratch.space.allocatedBytes(ONE) <= before - 100 * BLOCK_SIZE;
    assert.equal(isPunched, system.kind === 'native', 'the buffered system cannot punch');
    const allocations = scratch.faulty.count('allocate');
    assert.equal(blob.allocate(5), 10);
    assert.equal(scratch.faulty.count('allocate') - allocations, isPunched ? 1 : 0);
    blob.write(10 * BLOCK_SIZE, bytes, 0, 5 * BLOCK_SIZE);
    const target = Buffer.alloc(bytes.length);
    scratch.space.read(ONE, 10 * BLOCK_SIZE, target, 0, 5 * BLOCK_SIZE);
    assert.deepEqual(target.subarray(0, 5 * BLOCK_SIZE), bytes.subarray(0, 5 * BLOCK_SIZE));
  });

  for (const [what, isMarked] of [
    ['before a commit mark', false],
    ['after one', true],
  ] as const) {
    it(`gives back the end of the blob that was freed ${what}, except for a short tail`, () => {
      using scratch = new ScratchSpace(system);
      const blob = ActiveBlob.create(scratch.space, ONE);
      const bytes = pattern(BLOCK_SIZE);
      blob.write(blob.allocate(1) * BLOCK_SIZE, bytes, 0, bytes.length);
      const first = blob.allocate(5_000);
      if (isMarked) {
        blob.beforeMark();
        blob.durable();
      }
      blob.dropRefs(first, 5_000);
      blob.beforeMark();
      blob.durable();
      assert.deepEqual([blob.lengthBlocks, blob.freeBlocks, blob.pendingBlocks], [1, 0, 0]);
      const kept = system.kind === 'native' ? 64 : 5_000;
      assert.equal(blob.allocatedTailBlocks, kept);
      if (system.kind === 'native') assert.equal(scratch.space.allocatedBytes(ONE), 65 * BLOCK_SIZE);
      // Space for the next blocks must be allocated again.
      const again = blob.allocate(kept + 1);
      assert.equal(again, first);
      blob.write((again + kept) * BLOCK_SIZE, bytes, 0, bytes.length);
      const read = Buffer.alloc(BLOCK_SIZE);
      scratch.space.read(ONE, (again + kept) * BLOCK_SIZE, read, 0, BLOCK_SIZE);
      assert.deepEqual(read, bytes);
    });
  }

  it('gives back a long run before blocks in use that no mark has named', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(100);
    blob.allocate(1);
    blob.dropRefs(0, 100);
    blob.durable();
    assert.equal(scratch.faulty.count('punch'), 1);
    assert.deepEqual([blob.lengthBlocks, blob.freeBlocks], [101, 100]);
    assert.equal(blob.allocate(100), 0);
  });

  it('a failed punch loses only the space', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(200);
    blob.beforeMark();
    blob.dropRefs(0, 100);
    scratch.faulty.plan = (operation) => (operation === 'punch' ? { kind: 'error', code: 'EIO' } : undefined);
    blob.durable();
    assert.equal(blob.freeBlocks, 100);
    assert.equal(blob.allocate(100), 0);
  });

  it('a crash inside a punch is not taken for an I/O error', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(200);
    blob.beforeMark();
    blob.dropRefs(0, 100);
    scratch.faulty.plan = (operation) => (operation === 'punch' ? { kind: 'crash' } : undefined);
    assert.throws(() => blob.durable(), CrashedError);
  });
}

function writeTests(system: System): void {
  it('reads the bytes written, block by block and across blocks, also after overwriting', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const start = blob.allocate(6) * BLOCK_SIZE;
    const bytes = pattern(6 * BLOCK_SIZE);
    const target = Buffer.alloc(bytes.length);
    blob.write(start, bytes, 0, bytes.length);
    for (let turn = 0; turn < 5; turn++) {
      scratch.space.read(ONE, start, target, 0, bytes.length);
      assert.deepEqual(target, bytes);
      bytes.fill(turn, 4000 + turn, 5000);
      blob.write(start + 4000, bytes, 4000, 1000);
    }
  });

  it('is dirty until it is synced, and makes its name durable once', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(BLOCK_SIZE);
    blob.allocate(2);
    assert.equal(blob.isDirty, false);
    blob.write(0, bytes, 0, 0);
    assert.equal(blob.isDirty, false);
    blob.write(0, bytes, 0, BLOCK_SIZE);
    blob.write(BLOCK_SIZE, bytes, 0, 100);
    assert.ok(blob.isDirty);
    blob.sync();
    assert.equal(blob.isDirty, false);
    assert.equal(
      scratch.faulty.count('syncDirectory'),
      2,
      'the blob in its folder, the folder in the directory',
    );
    blob.sync();
    assert.equal(scratch.faulty.count('dataSync'), 1, 'nothing is synced when nothing is dirty');
    blob.write(0, bytes, 0, 1);
    blob.sync();
    assert.equal(scratch.faulty.count('dataSync'), 2);
    assert.equal(scratch.faulty.count('syncDirectory'), 2);
  });

  it('a failed sync is never followed by one that succeeds', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(1);
    blob.write(0, pattern(10), 0, 10);
    scratch.faulty.plan = (operation) =>
      operation === 'dataSync' ? { kind: 'error', code: 'ENOSPC' } : undefined;
    assert.throws(
      () => blob.sync(),
      (error) => isFsError(error, 'ENOSPC'),
    );
    scratch.faulty.plan = undefined;
    assert.throws(
      () => blob.sync(),
      (error) => isFsError(error, 'EIO') && /failed with ENOSPC/.test(error.note!),
    );
    assert.ok(blob.isDirty);
  });

  it('much data is flushed in the background, and then synced', async () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(256 * BLOCK_SIZE);
    blob.allocate(257);
    blob.write(0, bytes, 0, bytes.length - 1);
    assert.equal(blob.flush(), undefined, 'less than a megabyte is not worth it');
    blob.write(bytes.length - 1, bytes, 0, 2);
    const flushed = blob.flush();
    assert.ok(flushed !== undefined);
    assert.equal(blob.flush(), flushed, 'one at a time');
    await flushed;
    assert.equal(scratch.faulty.count('dataSync'), 1);
    assert.ok(blob.isDirty, 'bytes written meanwhile are not told apart from the others');
    blob.sync();
    assert.equal(scratch.faulty.count('dataSync'), 2);
    assert.equal(blob.isDirty, false);
    assert.equal(blob.flush(), undefined);
  });

  it('a failed flush fails every later sync', async () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(256 * BLOCK_SIZE);
    blob.allocate(256);
    blob.write(0, bytes, 0, bytes.length);
    scratch.faulty.plan = (operation) =>
      operation === 'dataSync' ? { kind: 'error', code: 'ENOSPC' } : undefined;
    await blob.flush();
    scratch.faulty.plan = undefined;
    assert.equal(blob.flush(), undefined);
    assert.throws(
      () => blob.sync(),
      (error) => isFsError(error, 'EIO') && /failed with ENOSPC/.test(error.note!),
    );
  });

  it('a failed write leaves the blob usable', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(BLOCK_SIZE);
    blob.allocate(1);
    let writes = 0;
    scratch.faulty.plan = (operation) =>
      operation === 'pwrite' && ++writes === 1 ? { kind: 'torn', bytes: 100 } : undefined;
    assert.throws(
      () => blob.write(0, bytes, 0, BLOCK_SIZE),
      (error) => isFsError(error, 'EIO'),
    );
    blob.write(0, bytes, 0, BLOCK_SIZE);
    const target = Buffer.alloc(BLOCK_SIZE);
    scratch.space.read(ONE, 0, target, 0, BLOCK_SIZE);
    assert.deepEqual(target, bytes);
  });

  it('refuses to touch blocks that are not in use', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(4);
    blob.beforeMark();
    blob.dropRefs(2, 1);
    const bytes = pattern(3 * BLOCK_SIZE);
    assert.throws(() => blob.write(BLOCK_SIZE, bytes, 0, BLOCK_SIZE + 1), /only blocks in use are written/);
    assert.throws(() => blob.write(4 * BLOCK_SIZE, bytes, 0, 1), /only blocks in use are written/);
    assert.throws(() => blob.addRefs(2, 1), /gain references/);
    assert.throws(() => blob.dropRefs(1, 2), /lose one/);
    assert.throws(() => blob.release(1, 2), /are released/);
    assert.throws(() => blob.allocate(0), /at least one/);
    assert.equal(blob.refs(1), 1, 'what failed changed nothing');
    assert.equal(blob.pendingBlocks, 1);
  });

  it('refuses every change after close, and can still be synced', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    const bytes = pattern(3 * BLOCK_SIZE);
    blob.write(blob.allocate(3) * BLOCK_SIZE, bytes, 0, bytes.length);
    assert.equal(blob.cutTail(), 3);
    blob.close();
    const ended = /neither frozen nor closed/;
    assert.throws(() => blob.write(0, bytes, 0, 1), ended);
    assert.throws(() => blob.allocate(1), ended);
    assert.throws(() => blob.addRefs(0, 1), ended);
    assert.throws(() => blob.dropRefs(0, 1), ended);
    assert.throws(() => blob.release(0, 1), ended);
    assert.throws(() => blob.cutTail(), ended);
    assert.equal(blob.allocatedTailBlocks, 0);
    blob.sync();
    assert.equal(blob.isDirty, false);
    const target = Buffer.alloc(bytes.length);
    scratch.space.read(ONE, 0, target, 0, bytes.length);
    assert.deepEqual(target, bytes);
    assert.throws(
      () => scratch.space.read(ONE, bytes.length, target, 0, 1),
      (error) => error instanceof DamagedBlobError && error.block === 3,
    );
  });

  it('opens again only with a file that has every block of the runs', () => {
    using scratch = new ScratchSpace(system);
    const blob = ActiveBlob.create(scratch.space, ONE);
    blob.allocate(3);
    blob.cutTail();
    blob.close();
    const runs = [{ physical: 0, count: 4 }];
    const isShort = (error: unknown): boolean => error instanceof DamagedBlobError && error.block === 3;
    assert.throws(() => ActiveBlob.open(scratch.space, ONE, runs), isShort);
    assert.throws(() => ActiveBlob.open(scratch.space, blobId(2), []), /its file is missing/);
    scratch.space.unlink(ONE);
    assert.equal(scratch.space.counts.openDescriptors, 0, 'nothing stayed open or pinned');
  });
}

for (const system of systems) {
  describe(`ActiveBlob, ${system.kind} system`, () => {
    modelTests(system);
    growthTests(system);
    writeTests(system);
  });
}
