/**
 * An upper directory that the kernel's overlayfs has written (whiteouts, opaque directories, redirects) is imported as
 * a layer, and over the same lower shows the same files as the kernel.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SeededRandom } from '../../src/base/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { importTree } from '../../src/transfer/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { scratchDirectory, scratchStore } from '../stores/scratch-store.ts';
import { problemsOf } from '../stores/shared-store.ts';
import { shownBy, shownByHost, sorted } from './component-trees.ts';

const skip = nativeOnly || (process.getuid?.() === 0 ? false : 'needs root, to mount an overlay');
const OPERATIONS = 60;

/** Makes a random change of a random path below `root`. */
function act(random: SeededRandom, root: string): void {
  const all = pathsIn(root, (path) => statSync(path).isDirectory());
  const pick = (paths: readonly string[]): string => paths[random.below(paths.length)] ?? root;
  const [from, to] = [pick(all), pick([root, ...all])];
  const name = `n${random.below(4)}`;
  switch (random.below(9)) {
    case 0:
    case 1:
      writeFileSync(join(to, `${name}.txt`), `${random.next32()}`);
      break;
    case 2:
    case 3:
      mkdirSync(join(to, name), { recursive: true });
      break;
    case 4:
      rmSync(pick(pathsIn(root, () => true)), { recursive: true, force: true });
      mkdirSync(root, { recursive: true });
      break;
    default:
      // A move of a directory into itself, or onto one that is not empty, is refused.
      try {
        renameSync(from, join(to, `m${random.below(30)}`));
      } catch (error) {
        assert.ok(error instanceof Error && /EINVAL|ENOTEMPTY|EBUSY|ENOENT|EXDEV/.test(error.message));
      }
  }
}

function pathsIn(directory: string, takes: (path: string) => boolean): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((path) => join(directory, path))
    .filter(takes);
}

function countRedirects(directory: string): number {
  const system = createSystem();
  const has = (path: string): boolean =>
    system.readHostXattrs(Buffer.from(path)).has('trusted.overlay.redirect');
  return pathsIn(directory, has).length;
}

for (let seed = 1; seed <= 12; seed++) {
  test(`an upper directory of the kernel, seed ${seed}`, { skip }, async (context) => {
    const engine = await scratchStore(context);
    const scratch = scratchDirectory(context);
    const at = (name: string): string => join(scratch, name);
    for (const name of ['lower', 'upper', 'work', 'mounted']) mkdirSync(at(name));
    const random = new SeededRandom(seed);
    mkdirSync(at('lower/tree'));
    for (let count = 0; count < OPERATIONS; count++) act(random, at('lower/tree'));
    const places = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
    const options = `${places},redirect_dir=on,metacopy=off`;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, at('mounted')]);
    let wanted: [string, string][];
    try {
      for (let count = 0; count < OPERATIONS; count++) act(random, at('mounted/tree'));
      wanted = sorted(shownByHost(at('mounted')));
    } finally {
      execFileSync('umount', [at('mounted')]);
    }
    context.diagnostic(`${countRedirects(at('upper'))} redirects`);
    await importTree(engine, at('lower'), { name: 'lower' });
    await importTree(engine, at('upper'), { name: 'upper', whiteouts: 'overlay' });
    const stacks = [
      ['upper', 'lower'],
      [at('upper'), 'lower'],
      ['upper', at('lower')],
    ];
    for (const [index, lowers] of stacks.entries()) {
      const tree = engine.forkUnion(lowers, `fork-${index}`);
      assert.deepEqual(sorted(shownBy(tree)), wanted);
      tree.close();
      const again = engine.openTree(`fork-${index}`);
      assert.deepEqual(sorted(shownBy(again)), wanted);
      again.close();
    }
    assert.deepEqual(problemsOf(engine), []);
  });
}
