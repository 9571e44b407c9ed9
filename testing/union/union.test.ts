/** Forks over unions: their files, compared with a naive merge and the kernel's overlayfs, and how they are forks. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FsError, type Name } from '../../src/base/index.ts';
import type { StoreEngine, Tree } from '../../src/store/index.ts';
import { diffTrees, filePages, storeUsage } from '../../src/survey/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { collectGarbage, dedupeStore } from '../../src/upkeep/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { scratchDirectory, scratchStore } from '../stores/scratch-store.ts';
import { patternBytes, problemsOf, readFile, SharedStore, writeFile } from '../stores/shared-store.ts';
import { directory, file, naiveMerge, whiteout } from '../trees/memory-lower.ts';
import {
  componentTrees,
  makeSnapshot,
  removeAll,
  shownBy,
  shownByHost,
  sorted,
  writeHostTree,
  writeTree,
} from './component-trees.ts';

const UPPER = directory({
  both: directory({ up: file('up'), hidden: whiteout, sub: directory({ s1: file('s1') }) }),
  opaque: directory({ new: file('new') }, true),
  file: file('upper'),
});
const LOWER = directory({
  both: directory({ low: file('low'), hidden: file('no'), sub: directory({ s2: file('s2') }) }),
  opaque: directory({ old: file('old') }),
  file: file('lower'),
  only: directory({ deep: directory({ er: file('er') }) }),
});
const MERGED = sorted(naiveMerge([UPPER, LOWER]));

async function unionStore(context: Parameters<typeof scratchStore>[0]): Promise<StoreEngine> {
  const engine = await scratchStore(context);
  makeSnapshot(engine, 'upper', UPPER);
  makeSnapshot(engine, 'lower', LOWER);
  return engine;
}

function isRefused(code: string, note: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof FsError && error.code === code && note.test(error.message);
}

describe('a fork over a union shows', () => {
  test('the files of a naive merge of its lowers, on chains too', async (context) => {
    const engine = await scratchStore(context);
    let run = -1;
    const component = fc.record({
      model: componentTrees(),
      earlier: fc.array(componentTrees(), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(fc.array(component, { minLength: 2, maxLength: 4 }), (components) => {
        run++;
        const names = components.map(({ model, earlier }, index) => {
          makeSnapshot(engine, `r${run}-${index}`, model, earlier);
          return `r${run}-${index}`;
        });
        const tree = engine.forkUnion(names, `r${run}-fork`);
        const wanted = sorted(naiveMerge(components.map(({ model }) => model)));
        assert.deepEqual(sorted(shownBy(tree)), wanted);
        assert.deepEqual(problemsOf(engine), []);
        // The fork can be written like any other: from now on it holds another model.
        writeTree(tree, components[0]!.model);
        assert.deepEqual(problemsOf(engine), []);
        tree.close();
        for (const name of [...names, `r${run}-fork`]) engine.drop(name);
      }),
      { numRuns: 40 },
    );
    collectGarbage(engine);
    assert.deepEqual([...engine.tables.layers.entries()], []);
  });

  // The kernel ignores an opaque mark on the root of a layer, which OCI allows there.
  const rootOnly = process.getuid?.() === 0 ? false : 'needs root, to mount an overlay';
  test('the same files as an overlay of the kernel over the same lowers', {
    skip: nativeOnly || rootOnly,
  }, async (context) => {
    const engine = await scratchStore(context);
    const scratch = scratchDirectory(context);
    const system = createSystem();
    let run = -1;
    fc.assert(
      fc.property(fc.array(componentTrees(), { minLength: 2, maxLength: 4 }), (drawn) => {
        run++;
        const models = drawn.map((model) => ({ ...model, isOpaque: false }));
        const names = models.map((_, index) => `k${run}-${index}`);
        for (const [index, model] of models.entries()) {
          makeSnapshot(engine, names[index]!, model);
          writeHostTree(system, model, join(scratch, names[index]!));
        }
        const mounted = join(scratch, `k${run}`);
        mkdirSync(mounted);
        const lowers = `lowerdir=${names.map((name) => join(scratch, name)).join(':')}`;
        execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', lowers, mounted]);
        const tree = engine.forkUnion(names, `k${run}`);
        try {
          assert.deepEqual(sorted(shownBy(tree)), sorted(shownByHost(mounted)));
        } finally {
          execFileSync('umount', [mounted]);
          tree.close();
        }
      }),
      { numRuns: 25 },
    );
  });

  test('five hundred lowers, and no more', async (context) => {
    const engine = await scratchStore(context);
    const names = Array.from({ length: 500 }, (_, index) => `l${index}`);
    const made = engine.createEmpty('made');
    for (const [index, name] of names.entries()) {
      if (index > 0) made.fileSystem.unlink(`/f${index - 1}`);
      writeFile(made, `/f${index}`, Buffer.from(name));
      engine.snapshot('made', name);
    }
    writeFile(made, '/more', Buffer.from('more'));
    made.close();
    const tree = engine.forkUnion(names, 'all');
    assert.equal(tree.fileSystem.readDirectoryNames('/').length, 500);
    assert.equal(readFile(tree, '/f499').toString(), 'l499');
    tree.close();
    assert.throws(
      () => engine.forkUnion([...names, 'made'], 'more'),
      isRefused('EINVAL', /501 lowers, at most 500/),
    );
    engine.forkUnion(names, 'unread').close();
    assert.throws(() => engine.forkUnion(['made', 'unread'], 'more'), isRefused('EINVAL', /at most 500/));
  });
});

describe('a fork over a union is a fork', () => {
  test('names of merged directories are removed, moved and made again', async (context) => {
    const engine = await unionStore(context);
    const tree = engine.forkUnion(['upper', 'lower'], 'fork');
    const { fileSystem } = tree;
    assert.deepEqual(sorted(shownBy(tree)), MERGED);
    const { ino } = fileSystem.stat('/both', true);
    assert.throws(() => fileSystem.removeDirectory('/both'), isRefused('ENOTEMPTY', /./));
    fileSystem.rename('/both', '/only/moved');
    assert.equal(fileSystem.stat('/only/moved', true).ino, ino);
    assert.deepEqual(fileSystem.readDirectoryNames('/only/moved'), ['low', 'sub', 'up']);
    fileSystem.makeDirectory('/both', 0o755);
    assert.deepEqual(fileSystem.readDirectoryNames('/both'), []);
    fileSystem.unlink('/only/moved/up');
    fileSystem.unlink('/only/moved/low');
    removeAll(tree, '/only/moved/sub');
    fileSystem.removeDirectory('/only/moved');
    fileSystem.unlink('/file');
    const left = [
      ['/both/', ''],
      ['/only/', ''],
      ['/only/deep/', ''],
      ['/only/deep/er', 'er'],
      ['/opaque/', ''],
      ['/opaque/new', 'new'],
    ];
    assert.deepEqual(sorted(shownBy(tree)), left);
    tree.checkpoint();
    assert.deepEqual(problemsOf(engine), []);
    tree.close();
    const again = engine.openTree('fork');
    assert.deepEqual(sorted(shownBy(again)), left);
    again.close();
  });

  test('frozen, forked, opened again, and a component of another union', async (context) => {
    const engine = await unionStore(context);
    const tree = engine.forkUnion(['upper', 'lower'], 'fork');
    const ino = tree.fileSystem.stat('/only/deep/er', true).ino;
    tree.fileSystem.rename('/only/deep', '/both/deep');
    tree.fileSystem.chmod('/both/low', 0o600, true);
    engine.snapshot('fork', 'done');
    const twice = engine.fork('fork', 'twice');
    writeFile(twice, '/both/deep/er', Buffer.from('ER'));
    assert.equal(twice.fileSystem.stat('/both/deep/er', true).ino, ino);
    assert.equal(readFile(tree, '/both/deep/er').toString(), 'er');
    const wanted = sorted(shownBy(twice));
    for (const one of [tree, twice]) one.close();
    assert.deepEqual(problemsOf(engine), []);
    makeSnapshot(engine, 'top', directory({ both: directory({ low: whiteout, deep: directory({}, true) }) }));
    const outer = engine.forkUnion(['top', 'twice', 'done'], 'outer');
    const gone = new Set(['/both/low', '/both/deep/er']);
    assert.deepEqual(
      sorted(shownBy(outer)),
      wanted.filter(([path]) => !gone.has(path)),
    );
    outer.fileSystem.rename('/both', '/moved');
    outer.fileSystem.chmod('/only', 0o700, true);
    outer.close();
    assert.deepEqual(problemsOf(engine), []);
    const again = engine.openTree('outer');
    assert.deepEqual(again.fileSystem.readDirectoryNames('/moved/deep'), []);
    assert.equal(again.fileSystem.stat('/only', true).mode & 0o777, 0o700);
    assert.deepEqual(again.fileSystem.readDirectoryNames('/moved'), ['deep', 'sub', 'up']);
    again.close();
  });

  test('hard links stay one inode, attributes of overlays are not there', async (context) => {
    const engine = await unionStore(context);
    const made = engine.fork('upper', 'linked');
    made.fileSystem.link('/file', '/both/link', true);
    made.fileSystem.setXattr('/file', 'user.mine', Buffer.from('1'), 0, true);
    made.close();
    const tree = engine.forkUnion(['linked', 'lower'], 'fork');
    const { fileSystem } = tree;
    assert.equal(fileSystem.stat('/both/link', true).ino, fileSystem.stat('/file', true).ino);
    writeFile(tree, '/both/link', Buffer.from('LINK'));
    assert.equal(readFile(tree, '/file').toString(), 'LINKr');
    assert.deepEqual(fileSystem.listXattrs('/file', true), ['user.mine']);
    assert.deepEqual(fileSystem.listXattrs('/opaque', true), []);
    fileSystem.unlink('/file');
    assert.equal(fileSystem.stat('/both/link', true).nlink, 1);
    tree.close();
    assert.deepEqual(problemsOf(engine), []);
  });

  test('the link count of a directory never falls below the number of its subdirectories', async (context) => {
    const engine = await scratchStore(context);
    const many = directory({ x: directory({}), y: directory({}), z: directory({}) });
    makeSnapshot(engine, 'one', directory({ d: directory({}) }));
    makeSnapshot(engine, 'two', directory({ d: many }));
    const tree = engine.forkUnion(['one', 'two'], 'fork');
    assert.equal(tree.fileSystem.stat('/d', true).nlink, 5);
    for (const name of ['x', 'y', 'z']) tree.fileSystem.removeDirectory(`/d/${name}`);
    assert.equal(tree.fileSystem.stat('/d', true).nlink, 2);
    tree.fileSystem.removeDirectory('/d');
    tree.close();
    assert.deepEqual(problemsOf(engine), []);
  });

  test('changes of a killed process are replayed', async () => {
    await using store = new SharedStore();
    const { engine, system } = await store.openFaulty();
    makeSnapshot(engine, 'upper', UPPER);
    makeSnapshot(engine, 'lower', LOWER);
    const inner = engine.forkUnion(['upper', 'lower'], 'inner');
    inner.fileSystem.rename('/only', '/both/only');
    inner.close();
    makeSnapshot(engine, 'top', directory({ both: directory({ top: file('top') }) }));
    // The numbers of a union over a fork over a union are not packed: their origins are in the journal.
    const tree = engine.forkUnion(['top', 'inner'], 'fork');
    tree.fileSystem.rename('/both', '/moved');
    tree.fileSystem.chmod('/moved/only/deep', 0o700, true);
    writeFile(tree, '/moved/only/deep/er', Buffer.from('ER'));
    tree.fileSystem.unlink('/moved/up');
    tree.fileSystem.makeDirectory('/moved/only/deep/new', 0o755);
    const wanted = sorted(shownBy(tree));
    const { ino } = tree.fileSystem.stat('/moved/only/deep/er', true);
    await store.crash(engine, system);
    const next = await store.open();
    const again = next.openTree('fork');
    assert.equal(again.fileSystem.stat('/moved/only/deep/er', true).ino, ino);
    assert.deepEqual(sorted(shownBy(again)), wanted);
    again.close();
    assert.deepEqual(problemsOf(next, { scrub: true }), []);
  });
});

describe('the store of a union', () => {
  test('has one layer for unions of the same lowers, and keeps what they stand on', async (context) => {
    const engine = await unionStore(context);
    const trees = ['a', 'b'].map((name) => engine.forkUnion(['upper', 'lower'], name));
    const unions = [...engine.tables.layers.entries()].filter(
      ([, { components }]) => components !== undefined,
    );
    assert.equal(unions.length, 1);
    for (const tree of trees) tree.close();
    for (const name of ['upper', 'lower']) engine.drop(name);
    collectGarbage(engine);
    engine.openTrees.settleLease();
    collectGarbage(engine);
    const tree = engine.openTree('a');
    assert.deepEqual(sorted(shownBy(tree)), MERGED);
    tree.close();
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    for (const name of ['a', 'b']) engine.drop(name);
    collectGarbage(engine);
    collectGarbage(engine);
    assert.deepEqual([...engine.tables.layers.entries()], []);
    assert.deepEqual(engine.blobs.list(), []);
  });

  test('finds the same tree below itself to add nothing, and refuses what cannot be', async (context) => {
    const engine = await unionStore(context);
    engine.snapshot('upper', 'same');
    const tree = engine.forkUnion(['upper', 'same'], 'fork');
    assert.equal([...engine.tables.layers.entries()].filter(([, { components }]) => components).length, 0);
    tree.close();
    assert.throws(
      () => engine.forkUnion(['upper', 'upper'], 'x'),
      isRefused('EINVAL', /'upper' is named twice/),
    );
    assert.throws(() => engine.forkUnion(['upper', 'absent'], 'x'), isRefused('ENOENT', /absent/));
    assert.throws(() => engine.forkUnion(['upper', 'lower'], 'fork'), isRefused('EEXIST', /fork/));
  });

  test('follows dedupe of what it stands on, also while it is open', async (context) => {
    const engine = await scratchStore(context);
    const bytes = patternBytes(64 * 4096, 7);
    for (const name of ['one', 'two']) {
      const made = engine.createEmpty(`${name}-made`);
      writeFile(made, `/${name}`, bytes);
      made.close();
      engine.snapshot(`${name}-made`, name);
      engine.drop(`${name}-made`);
    }
    const tree = engine.forkUnion(['one', 'two'], 'fork');
    assert.ok(readFile(tree, '/two').equals(bytes));
    const report = await dedupeStore(engine);
    assert.ok(report.bytesShared > 0);
    collectGarbage(engine);
    for (const name of ['one', 'two']) assert.ok(readFile(tree, `/${name}`).equals(bytes));
    const [run] = filePages(engine, 'fork', '/one' as Name).runs;
    assert.equal(run?.isSharedWithin, true);
    tree.close();
    collectGarbage(engine);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    const again = engine.openTree('fork');
    for (const name of ['one', 'two']) assert.ok(readFile(again, `/${name}`).equals(bytes));
    again.close();
  });

  test('tells what differs, what it takes, and whose pages are whose', async (context) => {
    const engine = await unionStore(context);
    const tree = engine.forkUnion(['upper', 'lower'], 'fork');
    const clean: Tree = engine.fork('fork', 'clean');
    writeFile(tree, '/both/low', Buffer.from('LOW'));
    tree.fileSystem.unlink('/only/deep/er');
    const changes = diffTrees(engine, 'clean', 'fork').map(({ kind, path }) => `${kind} ${path}`);
    assert.deepEqual(changes, ['modified /both/low', 'removed /only/deep/er']);
    const added = diffTrees(engine, 'upper', 'clean').filter(({ kind }) => kind === 'added');
    assert.deepEqual(
      added.map(({ path }) => path),
      ['/both/low', '/both/sub/s2', '/only', '/only/deep', '/only/deep/er'],
    );
    const usage = new Map(storeUsage(engine).trees.map((one) => [one.name, one]));
    assert.deepEqual([usage.get('clean')?.files, usage.get('clean')?.exclusiveBytes], [7, 0]);
    assert.deepEqual([usage.get('fork')?.files, usage.get('fork')?.exclusiveBytes], [6, 4096]);
    assert.equal(usage.get('clean')?.referencedBytes, 7 * 4096);
    const [run] = filePages(engine, 'clean', '/both/sub/s2' as Name).runs;
    assert.deepEqual(run?.trees, ['fork', 'lower']);
    const [hidden] = filePages(engine, 'lower', '/file' as Name).runs;
    assert.deepEqual(hidden?.trees, []);
    for (const one of [tree, clean]) one.close();
    assert.deepEqual(problemsOf(engine), []);
  });
});
