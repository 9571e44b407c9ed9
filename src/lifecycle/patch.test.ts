/** Patches, applied by git and patch(1). */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { exportTree } from '../../testing/trees/export-tree.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { isFsError, nameFromString, SeededRandom } from '../base/index.ts';
import { type StoreEngine, settleTree } from '../store/index.ts';
import { changedPaths } from '../survey/index.ts';
import { createSystem } from '../sys/index.ts';
import { importTree } from '../transfer/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { fileChanges } from './file-changes.ts';
import { type FileDifference, fileDifference, statLines } from './patch.ts';

function someLines(random: SeededRandom): string {
  const lines = Array.from({ length: random.below(30) }, () => `line ${random.below(12)}`);
  return lines.join('\n') + (random.below(3) === 0 ? '' : '\n');
}

async function storeWithTexts(context: TestContext, random: SeededRandom): Promise<StoreEngine> {
  const root = join(scratchDirectory(context), 'tree');
  mkdirSync(join(root, 'sub/deep'), { recursive: true });
  for (const name of ['a', 'b', 'sub/c', 'sub/deep/d', 'sub/deep/with space'])
    writeFileSync(join(root, name), someLines(random));
  const engine = await scratchStore(context);
  await importTree(engine, root, { name: 'base' });
  return engine;
}

function differences(engine: StoreEngine, a: string, b: string): FileDifference[] {
  const settled = (name: string) => settleTree(engine, name, new Set());
  const paths = changedPaths(engine, settled(a), settled(b));
  const [before, after] = [a, b].map(
    (name) => (engine.openTreeOf(name) ?? engine.openTree(name)).fileSystem,
  ) as [FileSystem, FileSystem];
  return [...fileChanges(paths, before, after)].map((change) => fileDifference(change, before, after));
}

function patchOf(engine: StoreEngine, a: string, b: string): string {
  return differences(engine, a, b)
    .map(({ patch }) => patch)
    .join('');
}

/** The part of a tree that a patch can express: files and symlinks, their content and whether they are executable. */
function inPatch(tree: ReturnType<typeof describeHostTree>): typeof tree {
  const files = new Map<string, never>();
  for (const [path, { mode, content }] of tree) {
    const type = Number.parseInt(mode, 8) & 0o170000;
    if (type === 0o040000) continue;
    const isExecutable = type === 0o100000 && (Number.parseInt(mode, 8) & 0o100) !== 0;
    files.set(path, { content, mode: `${type} ${isExecutable}` } as never);
  }
  return files;
}

/** Makes one random change of text files, if it is possible. */
function changeText(fileSystem: FileSystem, random: SeededRandom): void {
  const names = ['a', 'b', 'c', 'sub/c', 'sub/deep', 'sub/deep/d', 'sub/deep/with space', 'x', 'x/y', 'ü "z'];
  const pick = (): string => `/${nameFromString(names[random.below(names.length)]!)}`;
  const acts: (() => void)[] = [
    () => writeText(fileSystem, pick(), someLines(random), random.below(60)),
    () => fileSystem.truncate(pick(), random.below(200)),
    () => fileSystem.unlink(pick()),
    () => fileSystem.rename(pick(), pick()),
    () => fileSystem.makeDirectory(pick(), 0o755),
    () => fileSystem.symlink('target', pick()),
    () => fileSystem.chmod(pick(), random.below(2) === 0 ? 0o755 : 0o644, false),
  ];
  try {
    acts[random.below(acts.length)]!();
  } catch (error) {
    if (!isFsError(error)) throw error;
  }
}

describe('a patch', () => {
  test('applies with git apply, after random changes', async (context) => {
    const system = createSystem();
    let applied = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const random = new SeededRandom(seed);
      const engine = await storeWithTexts(context, random);
      const { fileSystem } = engine.fork('base', 'try');
      for (let count = 0; count < 12; count++) changeText(fileSystem, random);
      for (const path of ['/x', '/sub/deep']) {
        const stat = fileSystem.tryStat(path, false);
        // Gaps between writes hold zeros, which are not text.
        if (stat !== undefined && (stat.mode & 0o170000) === 0o100000) fileSystem.truncate(path, 0);
      }
      const patch = patchOf(engine, 'base', 'try');
      const root = scratchDirectory(context);
      const [patched, wanted] = [join(root, 'patched'), join(root, 'wanted')];
      await exportTree(engine, 'base', patched);
      await exportTree(engine, 'try', wanted);
      if (!patch.includes('Binary files') && patch !== '') {
        const { status, stderr } = spawnSync('git', ['apply', '-'], {
          cwd: patched,
          input: Buffer.from(patch, 'latin1'),
          env: { ...process.env, GIT_CEILING_DIRECTORIES: root },
          encoding: 'utf8',
        });
        applied++;
        assert.equal(status, 0, `seed ${seed}: ${stderr}\n${patch}`);
        const [left, right] = [wanted, patched].map((path) => inPatch(describeHostTree(system, path)));
        assert.deepEqual(compareTrees(left!, right!), [], `seed ${seed}\n${patch}`);
      }
      await engine.close();
    }
    assert.ok(applied >= 10, `only ${applied} trees had nothing but text`);
  });

  test('applies with patch(1)', async (context) => {
    const engine = await storeWithTexts(context, new SeededRandom(1));
    const { fileSystem } = engine.fork('base', 'try');
    writeText(fileSystem, '/sub/c', 'changed\n');
    writeText(fileSystem, '/sub/deep/with space', 'a space\n');
    writeText(fileSystem, '/new', 'new\nwithout an end');
    fileSystem.unlink('/a');
    fileSystem.rename('/sub/deep', '/moved');
    const root = scratchDirectory(context);
    const [patched, wanted] = [join(root, 'patched'), join(root, 'wanted')];
    await exportTree(engine, 'base', patched);
    await exportTree(engine, 'try', wanted);
    const input = Buffer.from(patchOf(engine, 'base', 'try'), 'latin1');
    execFileSync('patch', ['-p1', '-s'], { cwd: patched, input });
    const system = createSystem();
    const [left, right] = [wanted, patched].map((path) => inPatch(describeHostTree(system, path)));
    assert.deepEqual(compareTrees(left!, right!), []);
  });

  test('names binary files that differ, and contains the other changes', async (context) => {
    const engine = await storeWithTexts(context, new SeededRandom(2));
    const { fileSystem } = engine.fork('base', 'try');
    writeText(fileSystem, '/blob', seededBytes(1, 5_000));
    writeText(fileSystem, '/b', 'text\n');
    fileSystem.chmod('/sub/c', 0o600, false);
    const patch = patchOf(engine, 'base', 'try');
    assert.match(patch, /^Binary files \/dev\/null and b\/blob differ$/m);
    assert.doesNotMatch(patch, /sub\/c/);
    const patched = join(scratchDirectory(context), 'patched');
    await exportTree(engine, 'base', patched);
    execFileSync('git', ['apply', '-'], { cwd: patched, input: Buffer.from(patch, 'latin1') });
  });
});

test('the summary of a patch counts inserted and deleted lines', async (context) => {
  const engine = await scratchStore(context);
  const base = engine.createEmpty('base').fileSystem;
  writeText(base, '/kept', 'one\ntwo\nthree\n');
  writeText(base, '/gone', 'x\n');
  writeText(base, '/bytes', Buffer.from([0, 1, 2]));
  const { fileSystem } = engine.fork('base', 'try');
  fileSystem.truncate('/kept', 0);
  writeText(fileSystem, '/kept', 'one\n2\nthree\nfour\n');
  fileSystem.unlink('/gone');
  writeText(fileSystem, '/bytes', Buffer.from([3]), 3);
  fileSystem.makeDirectory('/sub', 0o755);
  fileSystem.rename('/kept', '/sub/kept');
  assert.deepEqual(statLines(differences(engine, 'base', 'try')), [
    ' bytes            | Bin 3 -> 4 bytes',
    ' gone             | 1 -',
    ' kept => sub/kept | 3 ++-',
    ' 3 files changed, 2 insertions(+), 2 deletions(-)',
  ]);
});
