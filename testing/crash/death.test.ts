/** The death of the process before every system call, and in the middle of every write, of a whole workload. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALLS_STEP, checkAll, countCalls } from './crash-images.ts';

const CALLS_MIN = 2_000;

test('the workload makes the same calls in every run', async () => {
  // What a process asks for only once is asked for in the first.
  await countCalls();
  const total = await countCalls();
  assert.ok(total >= CALLS_MIN, `${total} calls`);
  assert.equal(await countCalls(), total);
});

test('after the death of the process at any call every acknowledged operation is there', async () => {
  const images = await checkAll(await countCalls(), (index) => (index % 2 === 0 ? 'death' : 'torn write'));
  assert.ok(images >= CALLS_MIN / CALLS_STEP, `${images} images`);
});
