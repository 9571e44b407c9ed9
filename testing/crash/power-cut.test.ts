/**
 * A power cut at calls of a whole workload that change or sync something: at a sample of them, or with
 * RAMET_SWEEP=all at each.
 */
import { test } from 'node:test';
import { checkPoints } from './crash-images.ts';

test('after a power cut at any point what was synced is there, and the rest is a prefix', async () => {
  await checkPoints(() => 'power cut');
});
