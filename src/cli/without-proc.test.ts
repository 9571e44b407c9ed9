/** Trees of the host are handled without /proc too, which a sandbox or a chroot may lack. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';

const CHILD = fileURLToPath(new URL('../../testing/host/without-proc-child.js', import.meta.url));

test('a tree is imported, exported, changed and committed without /proc', {
  skip: mountsOnly,
}, (context) => {
  const child = ['--mount', process.execPath, CHILD, scratchDirectory(context)];
  const { status, stderr } = spawnSync('unshare', child, { encoding: 'utf8', timeout: 180_000 });
  assert.equal(status, 0, stderr);
});
