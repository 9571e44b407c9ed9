/** A power cut before every system call of a whole workload. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CALLS_STEP, checkAll, countCalls } from './crash-images.ts';

const CALLS_MIN = 2_000;

test('after a power cut at any call what was synced is there, and the rest is a prefix', async () => {
  const images = await checkAll(await countCalls(), () => 'power cut');
  assert.ok(images >= CALLS_MIN / CALLS_STEP, `${images} images`);
});
