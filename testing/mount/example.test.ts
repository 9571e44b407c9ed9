/** The example in docs/ of one file before and after copy-up prints what the README shows. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountsOnly } from '../host/mounts-only.ts';

const EXAMPLE = fileURLToPath(new URL('../../../docs/examples/one-file.js', import.meta.url));

/** Why there is no overlayfs: a container often lies on an overlay itself, which cannot hold an upper layer. */
function whyNoOverlay(): false | string {
  if (mountsOnly !== false) return mountsOnly;
  const directory = mkdtempSync(join(tmpdir(), 'ramet-overlay-'));
  const probe = 'mkdir l u w m && mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m && umount m';
  const { status } = spawnSync('sh', ['-c', probe], { cwd: directory });
  rmSync(directory, { recursive: true });
  return status === 0 ? false : 'needs overlayfs';
}

test('a write after copy-up shows everywhere on Ramet, but not in an earlier mapping on overlayfs', {
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
