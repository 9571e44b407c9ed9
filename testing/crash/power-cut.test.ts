/** A power cut at every call of a whole workload that changes or syncs something. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAll, countCalls, POINTS_MIN, POINTS_STEP } from './crash-images.ts';

test('after a power cut at any point what was synced is there, and the rest is a prefix', async () => {
  const { points } = await countCalls();
  const images = await checkAll(points, () => 'power cut');
  assert.ok(images >= POINTS_MIN / POINTS_STEP, `${images} images`);
});
