/** runsByChunk groups runs by the chunk that they begin in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BlobId, BlockIndex } from './brand.ts';
import { CHUNK_BLOCKS, type Run, runsByChunk } from './run.ts';

function run(logical: number, count: number): Run {
  return { logical: logical as BlockIndex, count, blob: 1 as BlobId, physical: 0 as BlockIndex };
}

test('runs are grouped by chunk, in order; a run that reaches beyond the end of its chunk stays whole', () => {
  const [a, b, c, d] = [
    run(0, 3),
    run(CHUNK_BLOCKS - 1, 10),
    run(CHUNK_BLOCKS + 20, 1),
    run(5 * CHUNK_BLOCKS, 2),
  ];
  assert.deepEqual(
    [...runsByChunk([a, b, c, d])],
    [
      { chunk: 0, runs: [a, b] },
      { chunk: 1, runs: [c] },
      { chunk: 5, runs: [d] },
    ],
  );
  assert.deepEqual([...runsByChunk([])], []);
});
