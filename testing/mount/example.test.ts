/** The example of one file before and after copy-up in docs/ does what the README shows of it. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountsOnly } from '../host/mounts-only.ts';

const EXAMPLE = fileURLToPath(new URL('../../../docs/examples/one-file.js', import.meta.url));

/** Containers often lie on an overlay themselves, on which no other can have its upper layer. */
function whyNoOverlay(): false | string {
  if (mountsOnly !== false) return mountsOnly;
  const directory = mkdtempSync(join(tmpdir(), 'ramet-overlay-'));
  const probe = 'mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m && umount m';
  const { status } = spawnSync('sh', ['-c', probe], { cwd: directory });
  rmSync(directory, { recursive: true });
  return status === 0 ? false : 'needs overlayfs';
}

test('what a write after copy-up is seen by: half of it on overlayfs, all on Ramet', {
  skip: whyNoOverlay(),
}, () => {
  const lines = execFileSync(process.execPath, [EXAMPLE], { encoding: 'utf8' })
    .trimEnd()
    .split('\n')
    .slice(1);
  const answers = lines.map((line) => line.trimEnd().split(/ {2,}/));
  assert.equal(answers.length, 4);
  for (const [what, , ramet] of answers) assert.equal(ramet, 'yes', what);
  const mapping = answers.find(([what]) => what === 'mapping of fr made before');
  assert.equal(mapping?.[1], 'NO', 'overlayfs leaves the mapping stale');
});
