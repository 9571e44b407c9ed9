/**
 * The death of the process at calls that change or sync something, and in writes, of a whole workload: at a sample of
 * them, or with RAMET_SWEEP=all at each.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPoints, countCalls } from './crash-images.ts';

const CALLS_MIN = 2_000;

test('the workload changes and syncs the same in every run, and makes enough calls', async (context) => {
  // What a process asks for only once is asked for in the first.
  await countCalls();
  const counts = await countCalls();
  context.diagnostic(JSON.stringify(counts));
  assert.ok(counts.calls >= CALLS_MIN, `${counts.calls} calls`);
  // How often it looks at something may depend on what this process still has open.
  assert.equal((await countCalls()).points, counts.points);
});

test('after the death of the process at any point every acknowledged operation is there', async () => {
  await checkPoints((index) => (index % 2 === 0 ? 'death' : 'torn write'));
});
