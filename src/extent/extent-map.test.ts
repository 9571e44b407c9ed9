/** The extent map, compared with a naive model: an array with one entry for each block. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type BlobId, type BlockIndex, CHUNK_BLOCKS, type Run } from '../base/index.ts';
import { ExtentMap } from './extent-map.ts';

type Cell = { blob: number; physical: number } | undefined;

interface Step {
  readonly start: number;
  readonly count: number;
  readonly blob: number;
  readonly physical: number;
}

const LIMIT = CHUNK_BLOCKS * 4;
const step: fc.Arbitrary<Step> = fc.record({
  start: fc.oneof(
    fc.nat(LIMIT - 1),
    fc.nat(20),
    fc.constantFrom(CHUNK_BLOCKS - 1, CHUNK_BLOCKS, 2 * CHUNK_BLOCKS),
  ),
  count: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 2 * CHUNK_BLOCKS })),
  blob: fc.nat(3),
  physical: fc.nat(50),
});

function cellsOf(map: ExtentMap): Cell[] {
  const cells: Cell[] = new Array(LIMIT * 2).fill(undefined);
  for (const run of map) {
    for (let block = 0; block < run.count; block++) {
      assert.equal(cells[run.logical + block], undefined, 'runs are disjoint');
      cells[run.logical + block] = { blob: run.blob, physical: run.physical + block };
    }
  }
  return cells;
}

function checkShape(map: ExtentMap): void {
  let before: Run | undefined;
  let blocks = 0;
  let runs = 0;
  for (const run of map) {
    if (before !== undefined) {
      assert.ok(before.logical + before.count <= run.logical, 'runs are sorted');
    }
    before = run;
    blocks += run.count;
    runs++;
  }
  assert.equal(map.blockCount, blocks);
  assert.equal(map.runCount, runs);
}

test('random sets and clears agree with the model', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const map = new ExtentMap();
      const model: Cell[] = new Array(LIMIT * 2).fill(undefined);
      for (const { start, count, blob, physical } of steps) {
        const removed: string[] = [];
        const visit = (from: BlobId, at: BlockIndex, blocks: number): void => {
          for (let block = 0; block < blocks; block++) removed.push(`${from}:${at + block}`);
        };
        const expected: string[] = [];
        for (let block = start; block < start + count; block++) {
          const cell = model[block];
          if (cell !== undefined) expected.push(`${cell.blob}:${cell.physical}`);
          model[block] = blob === 0 ? undefined : { blob, physical: physical + block - start };
        }
        if (blob === 0) map.clear(start as BlockIndex, count, visit);
        else map.set(start as BlockIndex, count, blob as BlobId, physical as BlockIndex, visit);
        assert.deepEqual(removed.sort(), expected.sort());
        checkShape(map);
      }
      assert.deepEqual(cellsOf(map), model);
    }),
    { numRuns: 300 },
  );
});

test('locate returns the rest of the run or of the hole', () => {
  const map = new ExtentMap();
  map.set(10 as BlockIndex, 5, 7 as BlobId, 100 as BlockIndex);
  map.locate(12);
  assert.deepEqual([map.foundBlob, map.foundPhysical, map.foundCount], [7, 102, 3]);
  map.locate(0);
  assert.deepEqual([map.foundBlob, map.foundCount], [0, 10]);
  map.locate(15);
  assert.deepEqual([map.foundBlob, map.foundCount], [0, Number.POSITIVE_INFINITY]);
});

test('a run that continues another is merged with it', () => {
  const map = new ExtentMap();
  map.set(0 as BlockIndex, 2, 1 as BlobId, 10 as BlockIndex);
  map.set(4 as BlockIndex, 2, 1 as BlobId, 14 as BlockIndex);
  map.set(2 as BlockIndex, 2, 1 as BlobId, 12 as BlockIndex);
  assert.deepEqual([...map], [{ logical: 0, count: 6, blob: 1, physical: 10 }]);
});

test('rows of the dirty chunks always rebuild the map', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const map = new ExtentMap();
      const rows = new Map<number, Run[]>();
      for (const { start, count, blob, physical } of steps) {
        if (blob === 0) map.clear(start as BlockIndex, count);
        else map.set(start as BlockIndex, count, blob as BlobId, physical as BlockIndex);
        for (const chunk of map.dirtyChunks) {
          const runs = map.chunkRuns(chunk);
          if (runs.length === 0) rows.delete(chunk);
          else rows.set(chunk, runs);
        }
        map.clearDirty();
      }
      const sorted = [...rows].sort((a, b) => a[0] - b[0]).flatMap(([, runs]) => runs);
      assert.deepEqual([...ExtentMap.fromRuns(sorted)], [...map]);
    }),
  );
});

test('clearing everything from a block on empties the rest', () => {
  const map = new ExtentMap();
  map.set(0 as BlockIndex, 5000, 1 as BlobId, 0 as BlockIndex);
  map.set(3 as BlockIndex, 1, 2 as BlobId, 0 as BlockIndex);
  map.clear(2 as BlockIndex, Number.POSITIVE_INFINITY);
  assert.deepEqual([...map], [{ logical: 0, count: 2, blob: 1, physical: 0 }]);
});
