/**
 * Power cuts at calls of a whole workload that change or sync something: at a sample of these calls; with
 * RAMET_SWEEP=all at each.
 */
import { test } from 'node:test';
import { checkPoints } from './crash-images.ts';

test('after a power cut at any point synced data is there, and of later operations a prefix', async () => {
  await checkPoints(() => 'power cut');
});
