/** diffTrees for chosen changes, and for random ones against a comparison of the whole trees. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { changeSomething, writeText as write } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { storeWithBase } from '../../testing/stores/store-with-base.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { describeFileSystem, type TreeDescription } from '../../testing/trees/tree-compare.ts';
import { isFsError, nameFromString, SeededRandom } from '../base/index.ts';
import { StoreEngine, settleTree } from '../store/index.ts';
import { importTree } from '../transfer/index.ts';
import type { Change } from './change.ts';
import { changedPaths, diffTrees } from './diff.ts';

function inShort(changes: readonly Change[]): string[] {
  return changes.map(({ kind, path, from, parts }) => {
    const origin = from === undefined ? [] : [`from ${from}`];
    return [kind === 'renamed' ? 'R' : kind[0], path, ...origin, ...parts].join(' ');
  });
}

describe('diffTrees', () => {
  test('of a tree and its untouched fork finds nothing', async (context) => {
    const engine = await storeWithBase(context);
    engine.fork('base', 'try').close();
    assert.deepEqual(diffTrees(engine, 'base', 'try'), []);
    assert.deepEqual(diffTrees(engine, 'base', 'base'), []);
  });

  test('of a fork that another process owns needs that process to checkpoint it first', async (context) => {
    const engine = await storeWithBase(context);
    const tree = engine.fork('base', 'try');
    write(tree.fileSystem, '/new', Buffer.from('new'));
    const other = await StoreEngine.open(engine.directory);
    context.after(() => other.close());
    assert.throws(
      () => diffTrees(other, 'base', 'try'),
      (error) => isFsError(error, 'EBUSY'),
    );
    tree.checkpoint();
    assert.deepEqual(inShort(diffTrees(other, 'base', 'try', new Set(['try']))), ['a /new']);
  });

  test('lists additions, removals and modifications, and what was modified', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    write(fileSystem, '/sub/deep/d', Buffer.from('changed'), 5000);
    write(fileSystem, '/new', Buffer.from('new'));
    fileSystem.makeDirectory('/more', 0o755);
    write(fileSystem, '/more/x', Buffer.from('x'));
    fileSystem.unlink('/b');
    fileSystem.chmod('/a', 0o600, false);
    fileSystem.setXattr('/sub', 'user.x', Buffer.from('1'), 0, false);
    fileSystem.symlink('a', '/link');
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), [
      'm /a mode',
      'r /b',
      'a /link',
      'a /more',
      'a /more/x',
      'a /new',
      'm /sub xattrs',
      'm /sub/deep/d content times',
    ]);
    assert.deepEqual(
      inShort(diffTrees(engine, 'try', 'base')).filter((line) => line.startsWith('r')),
      ['r /link', 'r /more', 'r /more/x', 'r /new'],
    );
    const [added] = diffTrees(engine, 'base', 'try').filter((change) => change.path === '/new');
    assert.deepEqual(added, {
      path: '/new',
      from: undefined,
      kind: 'added',
      type: 8,
      parts: [],
      sizeBefore: undefined,
      sizeAfter: 3,
    });
  });

  test('a file that changed its type is removed and added', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    fileSystem.unlink('/a');
    fileSystem.makeDirectory('/a', 0o755);
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), ['r /a', 'a /a']);
  });

  test('a file written with its old bytes changes only in its times', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    write(fileSystem, '/a', seededBytes(0, 10_000));
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), ['m /a times']);
  });

  test('a file under another name is renamed, and its changes are listed with it', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    fileSystem.rename('/a', '/sub/moved');
    fileSystem.rename('/sub/c', '/sub/c2');
    write(fileSystem, '/sub/c2', Buffer.from('changed'));
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), [
      'R /sub/c2 from /sub/c content times',
      'R /sub/moved from /a',
    ]);
    assert.deepEqual(inShort(diffTrees(engine, 'try', 'base')), [
      'R /a from /sub/moved',
      'R /sub/c from /sub/c2 content times',
    ]);
  });

  test('a renamed directory is one change, and changes in it are listed under its new name', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    fileSystem.rename('/sub/deep', '/deep');
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), ['R /deep from /sub/deep']);
    write(fileSystem, '/deep/d', Buffer.from('changed'));
    write(fileSystem, '/deep/new', Buffer.from('new'));
    fileSystem.unlink('/deep/e');
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), [
      'R /deep from /sub/deep',
      'm /deep/d from /sub/deep/d content times',
      'a /deep/new',
      'r /sub/deep/e',
    ]);
  });

  test('a file that another was renamed over is removed; one saved by a rename is modified', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    fileSystem.rename('/b', '/a');
    write(fileSystem, '/sub/tmp', Buffer.from('saved by an editor'));
    fileSystem.rename('/sub/tmp', '/sub/c');
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'try')), [
      'r /a',
      'R /a from /b',
      'm /sub/c content times',
    ]);
  });

  test('a file is listed under each of its names, wherever they are', async (context) => {
    const engine = await storeWithBase(context);
    const linked = engine.fork('base', 'linked').fileSystem;
    linked.link('/a', '/sub/deep/a2', false);
    assert.deepEqual(inShort(diffTrees(engine, 'base', 'linked')), ['a /sub/deep/a2']);
    const { fileSystem } = engine.fork('linked', 'try');
    write(fileSystem, '/a', Buffer.from('changed'));
    assert.deepEqual(inShort(diffTrees(engine, 'linked', 'try')), [
      'm /a content times',
      'm /sub/deep/a2 content times',
    ]);
    fileSystem.unlink('/sub/deep/a2');
    write(fileSystem, '/a', Buffer.from('again'), 5);
    assert.deepEqual(inShort(diffTrees(engine, 'linked', 'try')), ['m /a content times', 'r /sub/deep/a2']);
  });

  test('two forks of one tree are compared with each other', async (context) => {
    const engine = await storeWithBase(context);
    const one = engine.fork('base', 'one').fileSystem;
    const two = engine.fork('base', 'two').fileSystem;
    write(one, '/a', Buffer.from('1'));
    write(two, '/b', Buffer.from('2'));
    two.chown('/sub/c', 7, 7, false);
    assert.deepEqual(inShort(diffTrees(engine, 'one', 'two')), [
      'm /a content times',
      'm /b content times',
      'm /sub/c owner',
    ]);
  });

  test('two imports of one directory are equal', async (context) => {
    const root = scratchDirectory(context);
    writeFileSync(join(root, 'a'), seededBytes(1, 2_000_000));
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'one' });
    await importTree(engine, root, { name: 'two' });
    assert.deepEqual(diffTrees(engine, 'one', 'two'), []);
    writeFileSync(join(root, 'a'), seededBytes(1, 1_999_999));
    await importTree(engine, root, { name: 'three' });
    assert.deepEqual(inShort(diffTrees(engine, 'one', 'three')), ['m /a content times']);
  });

  test('names that are not ASCII are compared as bytes', async (context) => {
    const engine = await storeWithBase(context);
    const { fileSystem } = engine.fork('base', 'try');
    write(fileSystem, nameFromString('/ü'), Buffer.from('x'));
    assert.deepEqual(
      diffTrees(engine, 'base', 'try').map(({ path }) => path),
      [nameFromString('/ü')],
    );
  });

  test('of a missing tree fails', async (context) => {
    const engine = await storeWithBase(context);
    assert.throws(
      () => diffTrees(engine, 'base', 'nope'),
      (error) => isFsError(error, 'ENOENT'),
    );
  });
});

/** The expected diff, from two whole descriptions. Directories' times are left out, as in a diff. */
function expectedDiff(before: TreeDescription, after: TreeDescription): Map<string, string> {
  const lines = new Map<string, string>();
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(path), after.get(path)];
    const typeOf = (mode: string): number => Number.parseInt(mode, 8) & 0o170000;
    if (old === undefined || now === undefined || typeOf(old.mode) !== typeOf(now.mode)) {
      const kinds = [...(old === undefined ? [] : ['removed']), ...(now === undefined ? [] : ['added'])];
      lines.set(`/${path}`, kinds.join(' '));
      continue;
    }
    const isDirectory = typeOf(old.mode) === 0o040000;
    const parts: string[] = [];
    if (old.content !== now.content || old.size !== now.size) parts.push('content');
    if (old.mode !== now.mode) parts.push('mode');
    if (old.uid !== now.uid || old.gid !== now.gid) parts.push('owner');
    if (!isDirectory && old.mtime !== now.mtime) parts.push('times');
    if (old.xattrs.join() !== now.xattrs.join()) parts.push('xattrs');
    if (parts.length > 0) lines.set(`/${path}`, parts.join(' '));
  }
  return lines;
}

/** The changes by path, with the content of renamed directories, and the renamed paths. */
function actualDiff(
  engine: StoreEngine,
  a: string,
  b: string,
): { lines: Map<string, string>; moved: string[] } {
  const lines = new Map<string, string>();
  const moved: string[] = [];
  const { gone, put, changes } = changedPaths(
    engine,
    settleTree(engine, a, new Set()),
    settleTree(engine, b, new Set()),
  );
  const modified = new Map(
    changes.filter(({ kind }) => kind === 'modified').map((item) => [item.path, item]),
  );
  for (const { kind, path, from } of changes) if (kind === 'renamed') moved.push(path, from ?? path);
  for (const path of gone.keys()) lines.set(path, 'removed');
  for (const path of put.keys()) {
    const change = modified.get(path);
    const parts = change?.from === undefined ? change?.parts.join(' ').replace('target', 'content') : 'added';
    lines.set(path, lines.has(path) ? 'removed added' : (parts ?? 'added'));
  }
  return { lines, moved };
}

/** Leaves out paths that exist on both sides and were renamed, or lie in a renamed directory: they need not differ. */
function withoutMoved(lines: Map<string, string>, both: ReadonlySet<string>, moved: readonly string[]) {
  const isMoved = (path: string) => moved.some((top) => path === top || path.startsWith(`${top}/`));
  return [...lines].filter(([path]) => !(both.has(path) && isMoved(path))).sort();
}

test('after random changes a diff agrees with a comparison of the whole trees', async (context) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed);
    const engine = await storeWithBase(context);
    const one = engine.fork('base', 'one');
    for (let count = 0; count < 15; count++) changeSomething(one.fileSystem, random);
    const two = engine.fork('one', 'two');
    for (let count = 0; count < 25; count++) changeSomething(two.fileSystem, random);
    for (let count = 0; count < 10; count++) changeSomething(one.fileSystem, random);
    const base = engine.openTree('base');
    const trees = new Map(
      [base, one, two].map((tree) => [tree.info.name, describeFileSystem(tree.fileSystem)]),
    );
    for (const [a, b] of [
      ['base', 'one'],
      ['base', 'two'],
      ['one', 'two'],
      ['two', 'base'],
    ] as const) {
      const [before, after] = [trees.get(a)!, trees.get(b)!];
      const both = new Set([...before.keys()].filter((path) => after.has(path)).map((path) => `/${path}`));
      const { lines, moved } = actualDiff(engine, a, b);
      const expected = expectedDiff(before, after);
      for (const path of expected.keys()) assert.ok(lines.has(path), `${path}, seed ${seed}, ${a} and ${b}`);
      assert.deepEqual(
        withoutMoved(lines, both, moved),
        withoutMoved(expected, both, moved),
        `seed ${seed}, ${a} and ${b}`,
      );
    }
    await engine.close();
  }
});
