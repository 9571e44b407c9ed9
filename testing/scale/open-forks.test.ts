/** The memory that a thousand open forks take in one process. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Store } from '../../src/library/index.ts';
import { scratchDirectory } from '../stores/scratch-store.ts';

const CHILD = fileURLToPath(new URL('./open-forks-child.js', import.meta.url));
const KIB = 1024;

test('an open fork takes little memory, even after it was used', async (context) => {
  const directory = scratchDirectory(context);
  mkdirSync(`${directory}/tree`);
  writeFileSync(`${directory}/tree/some file`, 'x'.repeat(5000));
  const store = await Store.open(`${directory}/store`);
  await store.import(`${directory}/tree`, { name: 'base' });
  await store.close();
  const output = execFileSync(process.execPath, ['--expose-gc', CHILD, `${directory}/store`, '300'], {
    encoding: 'utf8',
  });
  const { idle, used } = JSON.parse(output) as { idle: number; used: number }; // What the child prints.
  assert.ok(idle < 12 * KIB, `${(idle / KIB).toFixed(1)} KiB an idle fork`);
  assert.ok(used < 40 * KIB, `${(used / KIB).toFixed(1)} KiB a used fork`);
});
