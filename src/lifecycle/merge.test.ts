/** Merges: the changes that they take, merge or report as conflicts. No failure leaves a merge half done. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { swept } from '../../testing/pace/sweep.ts';
import { changeSomething, rewrite, writeText } from '../../testing/stores/random-changes.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { assertCleanAfterGc, readFile } from '../../testing/stores/shared-store.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeFileSystem } from '../../testing/trees/tree-compare.ts';
import { isFsError, SeededRandom } from '../base/index.ts';
import { type StoreEngine, settleTree } from '../store/index.ts';
import { createSystem, FaultySystem } from '../sys/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { type MergeOptions, type MergeReport, mergeTrees } from './merge.ts';

const LINES = Array.from({ length: 20 }, (_, at) => `line ${at}\n`).join('');

function fill(fileSystem: FileSystem): void {
  fileSystem.makeDirectory('/sub', 0o755);
  fileSystem.makeDirectory('/sub/deep', 0o755);
  writeText(fileSystem, '/text', LINES);
  writeText(fileSystem, '/blob', seededBytes(1, 100_000));
  writeText(fileSystem, '/sub/c', 'c\n');
  writeText(fileSystem, '/sub/deep/d', 'd\n');
}

interface Sides {
  readonly engine: StoreEngine;
  readonly ours: FileSystem;
  readonly theirs: FileSystem;
  merge(options?: MergeOptions): Promise<MergeReport>;
}

/** Two forks of one tree, changed and merged. */
async function twoForks(context: TestContext): Promise<Sides> {
  const engine = await scratchStore(context);
  fill(engine.createEmpty('base').fileSystem);
  const theirs = engine.fork('base', 'theirs').fileSystem;
  const ours = engine.fork('base', 'ours').fileSystem;
  const merge = (options?: MergeOptions) => {
    engine.openTreeOf('ours')?.close();
    return mergeTrees(engine, 'theirs', 'ours', options);
  };
  return { engine, ours, theirs, merge };
}

function textOf(engine: StoreEngine, name: string, path: string): string {
  return readFile(engine.openTreeOf(name) ?? engine.openTree(name), path).toString();
}

function treeOf(engine: StoreEngine, name: string): ReturnType<typeof describeFileSystem> {
  return describeFileSystem((engine.openTreeOf(name) ?? engine.openTree(name)).fileSystem);
}

describe('a merge', () => {
  test('takes the changes of one side, and merges texts line by line', async (context) => {
    const { engine, ours, theirs, merge } = await twoForks(context);
    rewrite(theirs, '/text', LINES.replace('line 2\n', 'two\n'));
    writeText(theirs, '/blob', 'their bytes', 50_000);
    writeText(theirs, '/sub/new', 'new\n');
    theirs.unlink('/sub/deep/d');
    theirs.removeDirectory('/sub/deep');
    theirs.chmod('/sub/c', 0o600, false);
    rewrite(ours, '/text', LINES.replace('line 15\n', 'fifteen\n'));
    rewrite(ours, '/sub/c', 'our c\n');
    writeText(ours, '/own', 'own\n');
    const before = treeOf(engine, 'ours');
    const report = await merge();
    assert.deepEqual(report.conflicts, []);
    assert.deepEqual([report.isApplied, report.keptAs], [true, 'ours.before-merge']);
    const both = LINES.replace('line 2\n', 'two\n').replace('line 15\n', 'fifteen\n');
    assert.equal(textOf(engine, 'ours', '/text'), both);
    assert.equal(textOf(engine, 'ours', '/sub/c'), 'our c\n');
    const merged = treeOf(engine, 'ours');
    assert.equal(merged.get('sub/c')?.mode, '100600');
    assert.equal(merged.get('blob')?.content, treeOf(engine, 'theirs').get('blob')?.content);
    assert.deepEqual([...merged.keys()], ['', 'blob', 'own', 'sub', 'sub/c', 'sub/new', 'text']);
    assert.deepEqual(compareTrees(before, treeOf(engine, 'ours.before-merge')), []);
    assertCleanAfterGc(engine);
  });

  test('copies no bytes', async (context) => {
    const { engine, theirs, merge } = await twoForks(context);
    writeText(theirs, '/large', seededBytes(7, 4_000_000));
    engine.openTreeOf('theirs')?.close();
    await merge();
    const runs = (name: string) => {
      const tree = settleTree(engine, name, new Set());
      const ino = tree.inoAt('/large')!;
      return tree.runs(ino, tree.record(ino)!);
    };
    assert.ok(runs('ours').length > 0);
    assert.deepEqual(runs('ours'), runs('theirs'));
    assertCleanAfterGc(engine);
  });

  test('finds a file under the name that one side gave it', async (context) => {
    const { engine, ours, theirs, merge } = await twoForks(context);
    theirs.rename('/sub', '/moved');
    theirs.rename('/text', '/moved/text');
    rewrite(ours, '/sub/c', 'our c\n');
    rewrite(ours, '/text', LINES.replace('line 3\n', 'three\n'));
    ours.rename('/blob', '/data');
    writeText(theirs, '/blob', 'x', 10);
    const { conflicts } = await merge();
    assert.deepEqual(conflicts, []);
    assert.equal(textOf(engine, 'ours', '/moved/c'), 'our c\n');
    assert.match(textOf(engine, 'ours', '/moved/text'), /three/);
    assert.deepEqual(
      [...treeOf(engine, 'ours').keys()],
      ['', 'data', 'moved', 'moved/c', 'moved/deep', 'moved/deep/d', 'moved/text'],
    );
    assert.equal(treeOf(engine, 'ours').get('data')?.content, treeOf(engine, 'theirs').get('blob')?.content);
    assertCleanAfterGc(engine);
  });

  test('with a conflict changes nothing, and reports the path and the kind of each', async (context) => {
    const { engine, ours, theirs, merge } = await twoForks(context);
    rewrite(theirs, '/text', LINES.replace('line 2\n', 'theirs\n'));
    rewrite(ours, '/text', LINES.replace('line 2\n', 'ours\n'));
    theirs.unlink('/sub/c');
    rewrite(ours, '/sub/c', 'our c\n');
    rewrite(theirs, '/sub/deep/d', 'their d\n');
    ours.unlink('/sub/deep/d');
    ours.removeDirectory('/sub/deep');
    writeText(theirs, '/new', '1\n');
    writeText(ours, '/new', '2\n');
    theirs.unlink('/blob');
    theirs.makeDirectory('/blob', 0o755);
    ours.unlink('/blob');
    ours.symlink('text', '/blob');
    const before = treeOf(engine, 'ours');
    const { conflicts, isApplied, keptAs } = await merge();
    assert.deepEqual([isApplied, keptAs], [false, undefined]);
    assert.deepEqual(
      conflicts.map(({ path, kind }) => `${path} ${kind}`),
      [
        '/blob type',
        '/new both-added',
        '/sub/c removed-modified',
        '/sub/deep/d modified-removed',
        '/text both-modified',
      ],
    );
    assert.deepEqual(compareTrees(before, treeOf(engine, 'ours')), []);
    assert.deepEqual(
      engine.list().map(({ name }) => name),
      ['base', 'ours', 'theirs'],
    );
    engine.openTreeOf('ours')?.close();
    const theirsWin = await merge({ onConflict: 'theirs' });
    assert.equal(theirsWin.conflicts.length, 5);
    const paths = ['blob', 'new', 'sub/c', 'sub/deep/d', 'text'] as const;
    const [wanted, found] = [treeOf(engine, 'theirs'), treeOf(engine, 'ours')];
    for (const path of paths) assert.equal(found.get(path)?.content, wanted.get(path)?.content, path);
    assert.equal(found.get('blob')?.mode, wanted.get('blob')?.mode);
    assertCleanAfterGc(engine);
  });

  test('keeps our side of conflicts, or marks both in texts', async (context) => {
    const { engine, ours, theirs, merge } = await twoForks(context);
    rewrite(theirs, '/text', 'theirs\n');
    rewrite(ours, '/text', 'ours\n');
    theirs.unlink('/sub/deep/d');
    theirs.removeDirectory('/sub/deep');
    writeText(ours, '/sub/deep/more', 'more\n');
    writeText(theirs, '/also', 'also\n');
    engine.openTreeOf('ours')?.close();
    engine.fork('ours', 'second').close();
    const { conflicts } = await merge({ onConflict: 'ours' });
    assert.deepEqual(
      conflicts.map(({ path }) => path),
      ['/sub/deep/more', '/text'],
    );
    assert.equal(textOf(engine, 'ours', '/text'), 'ours\n');
    assert.equal(textOf(engine, 'ours', '/also'), 'also\n');
    assert.deepEqual(
      [...treeOf(engine, 'ours').keys()],
      ['', 'also', 'blob', 'sub', 'sub/c', 'sub/deep', 'sub/deep/more', 'text'],
    );
    await mergeTrees(engine, 'theirs', 'second', { onConflict: 'markers' });
    const marked = textOf(engine, 'second', '/text');
    assert.match(marked, /^<<<<<<< second\nours\n\|\|\|\|\|\|\| base\nline 0\n/);
    assert.match(marked, /\n=======\ntheirs\n>>>>>>> theirs\n$/);
    assertCleanAfterGc(engine);
  });

  test('has a conflict where both renamed a file', async (context) => {
    const { engine, ours, theirs, merge } = await twoForks(context);
    theirs.rename('/text', '/their-text');
    ours.rename('/text', '/our-text');
    const { conflicts } = await merge();
    assert.deepEqual(conflicts, [{ path: '/their-text', kind: 'both-renamed' }]);
    await merge({ onConflict: 'theirs' });
    assert.deepEqual(
      [...treeOf(engine, 'ours').keys()].filter((path) => path.includes('text')),
      ['their-text'],
    );
  });

  test('keeps hard links', async (context) => {
    const { engine, theirs, merge } = await twoForks(context);
    theirs.link('/sub/c', '/c2', false);
    writeText(theirs, '/x', 'x\n');
    theirs.link('/x', '/sub/x2', false);
    await merge();
    const tree = treeOf(engine, 'ours');
    assert.deepEqual([tree.get('c2')?.nlink, tree.get('sub/c')?.inode], [2, 'c2']);
    assert.deepEqual([tree.get('x')?.nlink, tree.get('x')?.inode], [2, 'sub/x2']);
    assertCleanAfterGc(engine);
  });

  test('needs an existing source, a common state, and a closed fork as target', async (context) => {
    const { engine } = await twoForks(context);
    const code = (wanted: 'EBUSY' | 'EINVAL' | 'EROFS' | 'ENOENT') => (error: unknown) =>
      isFsError(error, wanted);
    await assert.rejects(mergeTrees(engine, 'theirs', 'ours'), code('EBUSY'));
    engine.createEmpty('stranger').close();
    await assert.rejects(mergeTrees(engine, 'stranger', 'ours'), code('EINVAL'));
    engine.snapshot('ours', 'frozen');
    await assert.rejects(mergeTrees(engine, 'theirs', 'frozen'), code('EROFS'));
    await assert.rejects(mergeTrees(engine, 'nothing', 'ours'), code('ENOENT'));
    assert.deepEqual(
      engine.list().map(({ name }) => name),
      ['base', 'frozen', 'ours', 'stranger', 'theirs'],
    );
  });
});

test('a merge of random changes in different directories has those of both sides', async (context) => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = new SeededRandom(seed);
    const engine = await scratchStore(context);
    const base = engine.createEmpty('base').fileSystem;
    for (const half of ['/left', '/right']) base.makeDirectory(half, 0o755);
    for (const name of ['a', 'b', 'c'])
      for (const half of ['left', 'right']) writeText(base, `/${half}/${name}`, seededBytes(1, 9_000));
    // Confines changes to one half of the tree: each path gets the name of the half as a prefix.
    const halved = (fileSystem: FileSystem, half: string): FileSystem =>
      new Proxy(fileSystem, {
        get: (target, key) => {
          const value: unknown = Reflect.get(target, key);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) =>
            value.apply(
              target,
              args.map((arg) => (typeof arg === 'string' && arg.startsWith('/') ? `/${half}${arg}` : arg)),
            );
        },
      });
    const change = (name: string, half: string, from: number): void => {
      const own = new SeededRandom(from);
      const { fileSystem } = engine.openTreeOf(name) ?? engine.openTree(name);
      for (let count = 0; count < 15; count++) changeSomething(halved(fileSystem, half), own);
    };
    const [left, right] = [random.below(1e6), random.below(1e6)];
    for (const name of ['ours', 'theirs', 'both']) engine.fork('base', name);
    change('ours', 'left', left);
    change('theirs', 'right', right);
    change('both', 'left', left);
    change('both', 'right', right);
    engine.openTreeOf('ours')?.close();
    const { conflicts } = await mergeTrees(engine, 'theirs', 'ours');
    assert.deepEqual(conflicts, [], `seed ${seed}`);
    const [wanted, found] = ['both', 'ours'].map((name) => withoutTimes(treeOf(engine, name)));
    assert.deepEqual(compareTrees(wanted!, found!), [], `seed ${seed}`);
    await engine.close();
  }
});

/** Leaves times out: the same change made twice has different ones. */
function withoutTimes(tree: ReturnType<typeof describeFileSystem>): typeof tree {
  return new Map([...tree].map(([path, entry]) => [path, { ...entry, mtime: '' }]));
}

test('a merge that meets a full disk at any call leaves the fork whole, and the next one works', async (context) => {
  const system = new FaultySystem(createSystem());
  let outcomes = '';
  for (let at = 0; !outcomes.endsWith('m'); at += swept({ sample: 9, long: 3, all: 1 })) {
    const engine = await scratchStore(context, { system, commitMarkMs: Number.POSITIVE_INFINITY });
    fill(engine.createEmpty('base').fileSystem);
    const theirs = engine.fork('base', 'theirs');
    rewrite(theirs.fileSystem, '/text', 'theirs\n');
    writeText(theirs.fileSystem, '/sub/new', seededBytes(3, 30_000));
    theirs.fileSystem.unlink('/sub/deep/d');
    const ours = engine.fork('base', 'ours');
    writeText(ours.fileSystem, '/own', 'own\n');
    theirs.close();
    ours.close();
    const first = system.callCount;
    system.plan = (operation, index) => {
      const takesSpace = ['allocate', 'pwrite', 'open', 'makeDirectory'].includes(operation);
      return takesSpace && index >= first + at ? { kind: 'error', code: 'ENOSPC' } : undefined;
    };
    let isDone = true;
    try {
      await mergeTrees(engine, 'theirs', 'ours');
    } catch (error) {
      assert.ok(isFsError(error, 'ENOSPC'), String(error));
      isDone = false;
    }
    system.plan = undefined;
    const names = [...treeOf(engine, 'ours').keys()];
    assert.deepEqual(
      [names.includes('sub/new'), names.includes('sub/deep/d')],
      [isDone, !isDone],
      `call ${at}`,
    );
    assert.equal(textOf(engine, 'ours', '/text') === 'theirs\n', isDone, `call ${at}`);
    assert.ok(names.includes('own'));
    engine.openTreeOf('ours')?.close();
    if (!isDone) assert.ok((await mergeTrees(engine, 'theirs', 'ours')).isApplied);
    engine.openTreeOf('theirs')?.close();
    assertCleanAfterGc(engine);
    const left = engine.list().filter(({ name }) => name.includes('merging'));
    assert.deepEqual(left, [], `call ${at}: the next merge drops what is left`);
    await engine.close();
    outcomes += isDone ? 'm' : '-';
  }
  assert.match(outcomes, /^-{5,}m$/);
});
