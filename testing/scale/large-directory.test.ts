/**
 * One directory of very many names: all names are found, and memory stays within a limit. RAMET_SCALE_NAMES=1000000 is
 * the full size, which takes a minute or two.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Store } from '../../src/library/index.ts';
import { scratchDirectory } from '../stores/scratch-store.ts';

const CHILD = fileURLToPath(new URL('./large-directory-child.js', import.meta.url));
const NAMES = Number(process.env.RAMET_SCALE_NAMES ?? 40_000);
const MEBIBYTE = 2 ** 20;
/** Enough for the caches, and for the list of all names that the test itself asks for. */
const HEAP_BYTES_MAX = (NAMES < 200_000 ? 40 : 300) * MEBIBYTE;

interface Found {
  readonly listed: number;
  readonly distinct: number;
  readonly handle: number;
  readonly stats: number;
}

test(`${NAMES.toLocaleString('en')} names in one directory`, { timeout: 600_000 }, async (context) => {
  const directory = scratchDirectory(context);
  const output = execFileSync(process.execPath, ['--expose-gc', CHILD, directory, String(NAMES)], {
    encoding: 'utf8',
  });
  const told = JSON.parse(output) as {
    before: Found;
    after: Found;
    changed: number;
    isMissing: boolean;
    heapMax: number;
  }; // The cast: the child prints this.
  const all = { listed: NAMES, distinct: NAMES, handle: NAMES, stats: NAMES };
  assert.deepEqual(told.before, all);
  assert.deepEqual(told.after, all);
  assert.equal(told.changed, NAMES / 2 + 1);
  assert.ok(told.isMissing);
  context.diagnostic(`heap ${(told.heapMax / MEBIBYTE).toFixed(0)} MiB`);
  assert.ok(told.heapMax <= HEAP_BYTES_MAX, `${(told.heapMax / MEBIBYTE).toFixed(0)} MiB of heap`);
  await using store = await Store.open(directory);
  assert.ok((await store.fsck()).isClean);
});
