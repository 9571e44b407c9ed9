/** Bounded calls: on files that another program serves they wait at most for a time limit. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';

const CHILD = fileURLToPath(new URL('../../testing/host/bounded-child.js', import.meta.url));

test('a FUSE server that stops answering delays calls only for a moment', {
  skip: mountsOnly,
}, (context) => {
  const child = ['--mount', process.execPath, CHILD, scratchDirectory(context)];
  const { status, stderr } = spawnSync('unshare', child, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, stderr);
});
