/**
 * The process dies at a call of a workload that changes or syncs something, or in the middle of a write. Tries a sample
 * of these points; with RAMET_SWEEP=all, every one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPoints, countCalls } from './crash-images.ts';

const CALLS_MIN = 2_000;

test('the workload changes and syncs the same in every run, and makes enough calls', async (context) => {
  // Some calls are made only once in a process: the first run makes them.
  await countCalls();
  const counts = await countCalls();
  context.diagnostic(JSON.stringify(counts));
  assert.ok(counts.calls >= CALLS_MIN, `${counts.calls} calls`);
  // The number of calls that only look may depend on what this process still has open, so only points are compared.
  assert.equal((await countCalls()).points, counts.points);
});

test('after the death of the process at any point every acknowledged operation is there', async () => {
  await checkPoints((index) => (index % 2 === 0 ? 'death' : 'torn write'));
});
