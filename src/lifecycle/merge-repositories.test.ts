/** Merges with conflict markers, where both sides changed files of a version control system. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { rewrite, writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { readFile } from '../../testing/stores/shared-store.ts';
import { exportTree } from '../../testing/trees/export-tree.ts';
import type { StoreEngine } from '../store/index.ts';
import { importTree } from '../transfer/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { type MergeReport, mergeTrees } from './merge.ts';

/** Files of repositories: a merge keeps our side, without markers. */
const KEPT = [
  '/.git/HEAD',
  '/.git/refs/heads/main',
  '/.git/modules/part/refs/heads/main',
  '/.git/worktrees/other/HEAD',
  '/part/.git',
  '/part/below/.git/logs/HEAD',
  '/.hg/branch',
  '/.svn/format',
  '/.jj/working_copy/type',
  '/.bzr/branch/branch.conf',
  '/bare.git/HEAD',
  '/bare.git/refs/heads/main',
  '/bare.git/worktrees/tree/HEAD',
  '/theirs-only/packed-refs',
];
/** Files that only look a little like those of a repository: a merge writes markers into them. */
const MARKED = [
  '/text',
  '/.gitignore',
  '/.github/workflows/ci.yml',
  '/git/HEAD',
  '/my.git/notes',
  '/no-objects/HEAD',
  '/heads/HEAD/refs',
];
/** Files that give a directory some or all entries of a bare repository: HEAD, `objects` and `refs`. */
const NODES = ['/bare.git/objects/x', '/no-objects/refs/x', '/heads/objects/x', '/heads/HEAD/x'];

function makeFile(fileSystem: FileSystem, path: string, text: string): void {
  const names = dirname(path).split('/').slice(1);
  for (const [at] of names.entries()) {
    const directory = `/${names.slice(0, at + 1).join('/')}`;
    if (directory !== '/' && fileSystem.tryStat(directory, false) === undefined)
      fileSystem.makeDirectory(directory, 0o755);
  }
  writeText(fileSystem, path, text);
}

function textOf(engine: StoreEngine, path: string): string {
  return readFile(engine.openTreeOf('ours') ?? engine.openTree('ours'), path).toString();
}

async function mergeMarked(engine: StoreEngine): Promise<MergeReport> {
  engine.openTreeOf('ours')?.close();
  return await mergeTrees(engine, 'theirs', 'ours', { onConflict: 'markers' });
}

test('conflict markers are written into text files, but not into files of a repository', async (context) => {
  const engine = await scratchStore(context);
  const base = engine.createEmpty('base').fileSystem;
  for (const path of [...KEPT, ...MARKED]) makeFile(base, path, 'line\n');
  for (const path of NODES) makeFile(base, path, '');
  const theirs = engine.fork('base', 'theirs').fileSystem;
  const ours = engine.fork('base', 'ours').fileSystem;
  for (const path of ['HEAD', 'objects/x', 'refs/x']) makeFile(theirs, `/theirs-only/${path}`, '');
  for (const path of [...KEPT, ...MARKED]) {
    rewrite(theirs, path, 'theirs\n');
    rewrite(ours, path, 'ours\n');
  }
  const { conflicts, isApplied } = await mergeMarked(engine);
  assert.equal(isApplied, true);
  const wanted = [...KEPT, ...MARKED].sort().map((path) => ({ path, kind: 'both-modified' }));
  assert.deepEqual(conflicts, wanted, 'every conflict is reported');
  for (const path of KEPT) assert.equal(textOf(engine, path), 'ours\n', path);
  for (const path of MARKED)
    assert.match(textOf(engine, path), /^<{7} ours\nours\n[\s\S]*\ntheirs\n>{7} theirs\n$/, path);
});

test('the tree itself may be a bare repository', async (context) => {
  const engine = await scratchStore(context);
  const base = engine.createEmpty('base').fileSystem;
  for (const path of ['/HEAD', '/objects/x', '/refs/heads/main']) makeFile(base, path, 'line\n');
  const theirs = engine.fork('base', 'theirs').fileSystem;
  const ours = engine.fork('base', 'ours').fileSystem;
  rewrite(theirs, '/refs/heads/main', 'theirs\n');
  rewrite(ours, '/refs/heads/main', 'ours\n');
  assert.equal((await mergeMarked(engine)).conflicts.length, 1);
  assert.equal(textOf(engine, '/refs/heads/main'), 'ours\n');
});

function git(directory: string, ...args: readonly string[]): string {
  const identity = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.org', '-c', 'gc.auto=0'];
  const environment = { ...process.env, GIT_CONFIG_NOSYSTEM: '1', HOME: directory, LC_ALL: 'C' };
  return execFileSync('git', ['-C', directory, ...identity, ...args], {
    encoding: 'utf8',
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/**
 * Imports a git repository as `base`, and a copy of it for each side, in which that side has committed. Resolves to the
 * directory that holds all three.
 */
async function importSides(context: TestContext, engine: StoreEngine): Promise<string> {
  const directory = scratchDirectory(context);
  const base = join(directory, 'base');
  mkdirSync(base);
  writeFileSync(join(base, 'file'), 'line\n');
  git(base, 'init', '--quiet', '--initial-branch=main');
  git(base, 'add', '.');
  git(base, 'commit', '--quiet', '--message=base');
  await importTree(engine, base, { name: 'base' });
  for (const side of ['theirs', 'ours']) {
    const work = join(directory, side);
    cpSync(base, work, { recursive: true });
    writeFileSync(join(work, 'file'), `${side}\n`);
    git(work, 'commit', '--quiet', '--all', `--message=${side}`);
    await importTree(engine, work, { name: `${side}-imported` });
  }
  return directory;
}

test('git works in the merged repository after both sides have committed', {
  skip: spawnSync('git', ['--version']).status !== 0 && 'needs git',
}, async (context) => {
  const engine = await scratchStore(context);
  const directory = await importSides(context, engine);
  engine.fork('ours-imported', 'ours').close();
  const { conflicts } = await mergeTrees(engine, 'theirs-imported', 'ours', {
    onConflict: 'markers',
    base: 'base',
  });
  const paths = conflicts.map(({ path }) => path);
  for (const path of ['/file', '/.git/refs/heads/main', '/.git/logs/HEAD', '/.git/COMMIT_EDITMSG'])
    assert.ok(paths.includes(path), `${path} is none of ${paths}`);
  const merged = join(directory, 'merged');
  await exportTree(engine, 'ours', merged);
  assert.match(readFileSync(join(merged, 'file'), 'utf8'), /^<{7} ours\nours\n/);
  assert.equal(git(merged, 'log', '--format=%s'), 'ours\nbase\n');
  assert.equal(git(merged, 'status', '--short'), ' M file\n');
  git(merged, 'fsck', '--strict');
  git(merged, 'reflog');
});
