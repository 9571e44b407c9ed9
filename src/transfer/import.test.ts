/** importTree: the imported tree equals that of the host, and every failure has its error. */

import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { problemsOf, readFile } from '../../testing/stores/shared-store.ts';
import { makeOddTree, seededBytes, writeSparse } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeFileSystem, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { FsError } from '../base/index.ts';
import { loadSums } from '../blob/index.ts';
import { StoreEngine } from '../store/index.ts';
import { createBufferedSystem, createSystem, FaultySystem, type System } from '../sys/index.ts';
import { importTree } from './import.ts';

const MEBIBYTE = 1024 * 1024;

function directoryWith(context: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const root = join(scratchDirectory(context), 'source');
  mkdirSync(root);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

/** Asserts that a failed import left nothing in the store. */
function assertNothingLeft(engine: StoreEngine): void {
  assert.deepEqual(engine.list(), []);
  assert.deepEqual([...engine.tables.layers.entries()], []);
  assert.deepEqual([...engine.tables.blobs.entries()], []);
  assert.deepEqual([...engine.tables.contents.entries()], []);
  assert.deepEqual(engine.blobs.list(), []);
  assert.deepEqual(readdirSync(join(engine.directory, 'journals')), []);
}

function isFsError(code: string, path?: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof FsError && error.code === code && (path === undefined || error.path === path);
}

function contentOf(engine: StoreEngine, snapshot: string, name: string): Buffer {
  const tree = engine.openTree(snapshot);
  const bytes = readFile(tree, `/${name}`);
  assert.equal(bytes.length, tree.fileSystem.stat(`/${name}`, true).size);
  return bytes;
}

/** A system that calls `act` just before each `operation` on a path that ends in `name`. */
function interfering(operation: keyof System, name: string, act: () => void): FaultySystem {
  return new FaultySystem(createSystem(), (called, _index, path) => {
    if (called === operation && path.endsWith(name)) act();
    return undefined;
  });
}

test('holes are found although the system has no seekHole', async (context) => {
  const engine = await scratchStore(context, { system: createBufferedSystem() });
  const root = scratchDirectory(context);
  const data = seededBytes(1, 40_000);
  writeSparse(join(root, 'small'), 500_000, [[0, data]]);
  writeSparse(join(root, 'large'), 9 * 1024 * 1024, [[4 * 1024 * 1024, data]]);
  writeFileSync(join(root, 'dense'), Buffer.alloc(300_000));
  const report = await importTree(engine, root, { name: 'base' });
  const tree = engine.openTree('base');
  const blocks = ['small', 'large', 'dense'].map(
    (name) => tree.fileSystem.stat(`/${name}`, false).blocks / 8,
  );
  assert.deepEqual(blocks, [10, 10, 74]);
  assert.ok(
    contentOf(engine, 'base', 'large')
      .subarray(4 * 1024 * 1024)
      .subarray(0, data.length)
      .equals(data),
  );
  tree.close();
  assert.equal(report.apparentBytes, 500_000 + 9 * 1024 * 1024 + 300_000);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});

describe('what is imported', () => {
  for (const system of [createSystem(), createBufferedSystem()]) {
    test(`is the tree as the host has it (${system.kind})`, { skip: nativeOnly }, async (context) => {
      const source = scratchDirectory(context);
      const root = join(source, 'tree');
      mkdirSync(root);
      makeOddTree(createSystem(), root);
      const holes = system.kind === 'native';
      const expected = describeHostTree(system, root, { holes });
      const engine = await scratchStore(context, { system });
      const report = await importTree(engine, root, { name: 'base' });
      const tree = engine.openTree('base');
      assert.deepEqual(compareTrees(expected, describeFileSystem(tree.fileSystem, { holes })), []);
      const kinds = [...expected.values()].map((entry) => Number.parseInt(entry.mode, 8) & 0o170000);
      const names = [...expected].filter(([path, entry]) => entry.inode === path);
      assert.equal(report.directories, kinds.filter((kind) => kind === 0o040000).length);
      assert.equal(
        report.files,
        names.filter(([, entry]) => (Number.parseInt(entry.mode, 8) & 0o170000) === 0o100000).length,
      );
      assert.equal(report.hardLinks, expected.size - names.length);
      const specials = kinds.filter((kind) => ![0o040000, 0o100000, 0o120000].includes(kind)).length;
      assert.equal(report.specials, specials);
      assert.equal(report.notes.filter((note) => note.kind === 'special').length, specials);
      tree.close();
    });
  }

  test('is the same when every read has to wait for the disk', { skip: nativeOnly }, async (context) => {
    const system = createSystem();
    const root = join(scratchDirectory(context), 'tree');
    mkdirSync(root);
    makeOddTree(system, root);
    const cold: System = Object.create(system, { tryPread: { value: () => -1 } });
    const engine = await scratchStore(context, { system: cold });
    await importTree(engine, root, { name: 'base', concurrency: 3 });
    const tree = engine.openTree('base');
    const expected = describeHostTree(system, root, { holes: true });
    assert.deepEqual(compareTrees(expected, describeFileSystem(tree.fileSystem, { holes: true })), []);
  });

  test('stays when the store is opened again', async (context) => {
    const root = directoryWith(context, { a: 'one', 'b/c': seededBytes(1, 2 * MEBIBYTE) });
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'base' });
    await engine.close();
    const again = await StoreEngine.open(engine.directory);
    try {
      const expected = describeHostTree(again.system, root);
      assert.deepEqual(compareTrees(expected, describeFileSystem(again.openTree('base').fileSystem)), []);
    } finally {
      await again.close();
    }
  });

  test('a name outside the tree does not count as a link', async (context) => {
    const root = directoryWith(context, { a: 'one' });
    linkSync(join(root, 'a'), join(root, '../outside'));
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'base' });
    assert.equal(engine.openTree('base').fileSystem.stat('/a', false).nlink, 1);
  });

  test('symlinks are recorded and not followed', async (context) => {
    const root = directoryWith(context, { 'real/a': 'one' });
    symlinkSync('real', join(root, 'link'));
    const engine = await scratchStore(context);
    const report = await importTree(engine, root, { name: 'base' });
    assert.equal(report.files, 1);
    assert.equal(engine.openTree('base').fileSystem.readLink('/link'), 'real');
  });

  test("leaves out the store's own directory and says so", async (context) => {
    const engine = await scratchStore(context);
    const parent = join(engine.directory, '..');
    writeFileSync(join(parent, 'beside'), 'x');
    const report = await importTree(engine, parent, { name: 'base' });
    assert.deepEqual(engine.openTree('base').fileSystem.readDirectoryNames('/'), ['beside']);
    assert.deepEqual(
      report.notes.map(({ kind, path }) => ({ kind, path })),
      [{ kind: 'store', path: 'store' }],
    );
  });

  test('a directory named by a symlink is imported', async (context) => {
    const root = directoryWith(context, { a: 'one' });
    symlinkSync(root, join(root, '../link'));
    const engine = await scratchStore(context);
    const report = await importTree(engine, join(root, '../link'), { name: 'base' });
    assert.equal(report.files, 1);
  });
});

describe('identical content', () => {
  test('is stored once, within an import and across imports', async (context) => {
    const small = seededBytes(1, 5000);
    const large = seededBytes(2, 2 * MEBIBYTE + 1);
    const root = directoryWith(context, { a: small, b: small, 'c/large': large, 'd/large': large });
    const engine = await scratchStore(context);
    const first = await importTree(engine, root, { name: 'one' });
    assert.equal(first.storedBytes, small.length + large.length);
    assert.equal(first.sharedBytes, small.length + large.length);
    const blobs = engine.blobs.list().length;
    const second = await importTree(engine, root, { name: 'two' });
    assert.equal(second.storedBytes, 0);
    assert.equal(second.sharedBytes, 2 * (small.length + large.length));
    assert.equal(engine.blobs.list().length, blobs);
    const expected = describeHostTree(engine.system, root);
    assert.deepEqual(compareTrees(expected, describeFileSystem(engine.openTree('two').fileSystem)), []);
  });

  test('with other holes is shared, and each file keeps its own', {
    skip: nativeOnly,
  }, async (context) => {
    const root = directoryWith(context, {
      dense: Buffer.concat([seededBytes(1, MEBIBYTE), Buffer.alloc(MEBIBYTE)]),
    });
    writeSparse(join(root, 'sparse'), 2 * MEBIBYTE, [[0, seededBytes(1, MEBIBYTE)]]);
    writeSparse(join(root, 'sparse-again'), 2 * MEBIBYTE, [[0, seededBytes(1, MEBIBYTE)]]);
    const engine = await scratchStore(context);
    const report = await importTree(engine, root, { name: 'base' });
    // Chance decides which of the three is imported first.
    assert.equal(report.storedBytes + report.sharedBytes, 4 * MEBIBYTE);
    assert.ok(report.storedBytes <= 2 * MEBIBYTE);
    const { fileSystem } = engine.openTree('base');
    for (const name of ['dense', 'sparse', 'sparse-again']) {
      assert.ok(contentOf(engine, 'base', name).equals(readFileSync(join(root, name))), name);
    }
    assert.equal(fileSystem.stat('/dense', false).blocks * 512, 2 * MEBIBYTE);
    assert.equal(fileSystem.stat('/sparse', false).blocks * 512, MEBIBYTE);
  });

  test('is compared byte by byte in large files: equal checksums are not enough', async (context) => {
    const [one, other] = [seededBytes(1, 2 * MEBIBYTE), seededBytes(2, 2 * MEBIBYTE)];
    const root = directoryWith(context, { one, other });
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'first' });
    // Swap the two contents: each checksum now leads to the other file's bytes.
    const [[a, b], { tables }] = [[...engine.tables.contents.entries()], engine];
    assert.ok(a !== undefined && b !== undefined);
    tables.transaction(() => {
      tables.contents.put(Buffer.from(a.hash), a.sizeBytes, b.content);
      tables.contents.put(Buffer.from(b.hash), b.sizeBytes, a.content);
    });
    const report = await importTree(engine, root, { name: 'second' });
    assert.equal(report.sharedBytes, 0);
    assert.ok(contentOf(engine, 'second', 'one').equals(one));
    assert.ok(contentOf(engine, 'second', 'other').equals(other));
  });

  test('is stored again where the blob that has it is damaged', async (context) => {
    const bytes = seededBytes(1, 2 * MEBIBYTE);
    const root = directoryWith(context, { large: bytes });
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'first' });
    const { path } = engine.blobs.files.of(engine.blobs.list()[0]!);
    engine.blobs.close();
    const damaged = readFileSync(path);
    damaged[MEBIBYTE] = damaged[MEBIBYTE]! ^ 1;
    writeFileSync(path, damaged);
    const again = await importTree(engine, root, { name: 'second' });
    assert.equal(again.sharedBytes, 0);
    assert.ok(contentOf(engine, 'second', 'large').equals(bytes));
  });

  test('many large files are sealed together, before and at the end', async (context) => {
    const files = Object.fromEntries(
      Array.from({ length: 70 }, (_, index) => [`f${index}`, seededBytes(index, MEBIBYTE + index)]),
    );
    const root = directoryWith(context, files);
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'base' });
    for (const id of engine.blobs.list()) assert.ok(loadSums(engine.system, engine.blobs.directory, id));
    assert.equal([...engine.tables.blobs.entries()].length, 70);
    for (const [name, bytes] of Object.entries(files))
      assert.ok(contentOf(engine, 'base', name).equals(bytes), name);
  });

  test('is not trusted in a blob that is not sealed, or whose row is gone', async (context) => {
    const root = directoryWith(context, { a: seededBytes(1, 5000) });
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'one' });
    const [[id, blob]] = [...engine.tables.blobs.entries()] as [[never, never]];
    engine.tables.transaction(() => engine.tables.blobs.remove(id));
    assert.equal((await importTree(engine, root, { name: 'two' })).storedBytes, 5000);
    engine.tables.transaction(() => engine.tables.blobs.put(id, blob));
  });

  test('a large file has a blob of its own at offset 0, small ones are packed', async (context) => {
    const root = directoryWith(context, { large: seededBytes(1, MEBIBYTE), small: 'x', other: 'y' });
    const engine = await scratchStore(context);
    await importTree(engine, root, { name: 'base' });
    const rows = [...engine.tables.blobs.entries()].map(([, { kind, state, lengthBytes }]) => ({
      kind,
      state,
      lengthBytes,
    }));
    assert.deepEqual(
      rows.sort((a, b) => a.lengthBytes - b.lengthBytes),
      [
        { kind: 'packed', state: 'sealed', lengthBytes: 8192 },
        { kind: 'own', state: 'sealed', lengthBytes: MEBIBYTE },
      ],
    );
    const tree = engine.openTree('base');
    const ino = tree.fileSystem.stat('/large', false).ino;
    const runs = engine.tables.extents.load(tree.info.layer, ino as never) ?? [];
    assert.deepEqual(
      runs.map(({ logical, count, physical }) => [logical, count, physical]),
      [[0, 256, 0]],
    );
  });
});

describe('files that do not hold still', () => {
  test('one that changes once is read again, without a note', async (context) => {
    const root = directoryWith(context, { a: 'one' });
    let changes = 0;
    const system = interfering('tryPread', 'source/a', () => {
      if (changes++ === 0) appendFileSync(join(root, 'a'), ' more');
    });
    const engine = await scratchStore(context, { system });
    const report = await importTree(engine, root, { name: 'base' });
    assert.deepEqual(report.notes, []);
    assert.equal(changes, 2);
    assert.equal(engine.openTree('base').fileSystem.stat('/a', false).size, 8);
  });

  test('one that never holds still is stored with a note', async (context) => {
    const root = directoryWith(context, { a: 'one', b: seededBytes(1, 2 * MEBIBYTE) });
    const grow = (name: string): void => appendFileSync(join(root, name), 'x');
    const system = new FaultySystem(createSystem(), (operation, _index, path) => {
      if (operation === 'tryPread' && path.endsWith('source/a')) grow('a');
      if (operation === 'tryPread' && path.endsWith('source/b')) grow('b');
      return undefined;
    });
    const engine = await scratchStore(context, { system });
    const report = await importTree(engine, root, { name: 'base' });
    assert.deepEqual(report.notes.map(({ kind, path }) => [kind, path]).sort(), [
      ['changed', 'a'],
      ['changed', 'b'],
    ]);
    const { fileSystem } = engine.openTree('base');
    assert.equal(fileSystem.stat('/a', false).size, 5);
    assert.ok(fileSystem.stat('/b', false).size > 2 * MEBIBYTE);
  });

  test('one that goes away is left out with a note', async (context) => {
    const root = directoryWith(context, { a: 'one', b: 'two' });
    const system = interfering('openAt', 'source/a', () => {
      if (existsSync(join(root, 'a'))) unlinkSync(join(root, 'a'));
    });
    const engine = await scratchStore(context, { system });
    const report = await importTree(engine, root, { name: 'base' });
    assert.deepEqual(
      report.notes.map(({ kind, path }) => [kind, path]),
      [
        ['vanished', 'a'],
        ['changed', '.'],
      ],
    );
    assert.deepEqual(engine.openTree('base').fileSystem.readDirectoryNames('/'), ['b']);
  });

  test('one that becomes a symlink is not followed', async (context) => {
    const root = directoryWith(context, { a: 'one', '../secret': 'secret' });
    const system = interfering('openAt', 'source/a', () => {
      if (!statSync(join(root, 'a')).isFile()) return;
      rmSync(join(root, 'a'));
      symlinkSync('../secret', join(root, 'a'));
    });
    const engine = await scratchStore(context, { system });
    const report = await importTree(engine, root, { name: 'base' });
    assert.deepEqual(
      report.notes.map(({ kind, path }) => [kind, path]),
      [
        ['vanished', 'a'],
        ['changed', '.'],
      ],
    );
    assert.deepEqual(engine.openTree('base').fileSystem.readDirectoryNames('/'), []);
  });

  test('one that is replaced while it is read is read again', async (context) => {
    const root = directoryWith(context, { a: 'old', '../new': 'new content' });
    let isReplaced = false;
    const system = interfering('tryPread', 'source/a', () => {
      if (isReplaced) return;
      isReplaced = true;
      renameSync(join(root, '../new'), join(root, 'a'));
    });
    const engine = await scratchStore(context, { system });
    await importTree(engine, root, { name: 'base' });
    const expected = describeHostTree(engine.system, root).get('a');
    assert.deepEqual(describeFileSystem(engine.openTree('base').fileSystem).get('a'), expected);
  });
});

describe('files that cannot be read', () => {
  for (const operation of ['openAt', 'tryPread'] as const) {
    test(`fail the import by name (${operation})`, async (context) => {
      const root = directoryWith(context, {
        a: 'one',
        'sub/b': seededBytes(1, 3000),
        'sub/c': seededBytes(2, 2 * MEBIBYTE),
      });
      const code = operation === 'openAt' ? 'EACCES' : 'EIO';
      const system = new FaultySystem(createSystem(), (called, _index, path) =>
        called === operation && path.endsWith('sub/b') ? { kind: 'error', code } : undefined,
      );
      const engine = await scratchStore(context, { system });
      await assert.rejects(importTree(engine, root, { name: 'base' }), isFsError(code, join(root, 'sub/b')));
      assertNothingLeft(engine);
    });

    test(`are left out with a note when that is allowed (${operation})`, async (context) => {
      const root = directoryWith(context, { a: 'one', 'sub/b': 'two', 'sub/c': 'three' });
      linkSync(join(root, 'sub/b'), join(root, 'z'));
      const system = new FaultySystem(createSystem(), (called, _index, path) =>
        called === operation && path.endsWith('sub/b') ? { kind: 'error', code: 'EIO' } : undefined,
      );
      const engine = await scratchStore(context, { system });
      const report = await importTree(engine, root, { name: 'base', skipUnreadable: true });
      assert.deepEqual(
        report.notes.map(({ kind, path }) => [kind, path]),
        [
          ['unreadable', 'sub/b'],
          ['unreadable', 'z'],
        ],
      );
      const { fileSystem } = engine.openTree('base');
      assert.deepEqual(fileSystem.readDirectoryNames('/').sort(), ['a', 'sub']);
      assert.deepEqual(fileSystem.readDirectoryNames('/sub'), ['c']);
    });
  }

  test('directories fail the import by name, or are left out with a note, in the same way', async (context) => {
    const root = directoryWith(context, { a: 'one', 'sub/b': 'two' });
    const system = new FaultySystem(createSystem(), (called, _index, path) =>
      called === 'readDirectory' && path.endsWith('source/sub')
        ? { kind: 'error', code: 'EACCES' }
        : undefined,
    );
    const engine = await scratchStore(context, { system });
    await assert.rejects(importTree(engine, root, { name: 'base' }), isFsError('EACCES', join(root, 'sub')));
    assertNothingLeft(engine);
    const report = await importTree(engine, root, { name: 'base', skipUnreadable: true });
    assert.deepEqual(
      report.notes.map(({ kind, path }) => [kind, path]),
      [['unreadable', 'sub']],
    );
    const { fileSystem } = engine.openTree('base');
    assert.deepEqual(fileSystem.readDirectoryNames('/'), ['a']);
    assert.equal(fileSystem.stat('/', false).nlink, 2);
  });

  test("a failure of the store's own disk is never taken for the file's", async (context) => {
    const root = directoryWith(context, { a: seededBytes(1, 3 * MEBIBYTE) });
    const system = new FaultySystem(createSystem(), (called, _index, path) =>
      called === 'pwrite' && path.includes('/blobs/') ? { kind: 'error', code: 'EIO' } : undefined,
    );
    const engine = await scratchStore(context, { system });
    await assert.rejects(importTree(engine, root, { name: 'base', skipUnreadable: true }), isFsError('EIO'));
    system.plan = undefined;
    assertNothingLeft(engine);
  });
});

describe('an import that cannot be', () => {
  test('of a directory that is missing, or a file, fails before anything is made', async (context) => {
    const root = directoryWith(context, { a: 'one' });
    const engine = await scratchStore(context);
    const missing = join(root, 'missing');
    await assert.rejects(importTree(engine, missing, { name: 'base' }), isFsError('ENOENT', missing));
    await assert.rejects(
      importTree(engine, join(root, 'a'), { name: 'base' }),
      isFsError('ENOTDIR', join(root, 'a')),
    );
    assertNothingLeft(engine);
  });

  test('under a name that is taken fails before anything is read', async (context) => {
    const root = directoryWith(context, { a: 'one' });
    const system = new FaultySystem(createSystem());
    const engine = await scratchStore(context, { system });
    await importTree(engine, root, { name: 'base' });
    system.plan = (operation) => {
      assert.notEqual(operation, 'openAt');
      return undefined;
    };
    await assert.rejects(importTree(engine, root, { name: 'base' }), isFsError('EEXIST'));
    await assert.rejects(importTree(engine, root, { name: 'bad/name' }), isFsError('EINVAL'));
    assert.equal([...engine.tables.layers.entries()].length, 1);
  });

  test('under a name that is taken meanwhile leaves nothing', async (context) => {
    const root = directoryWith(context, { a: 'one' });
    let act: (() => void) | undefined;
    const system = interfering('openAt', 'source/a', () => act?.());
    const engine = await scratchStore(context, { system });
    act = () => {
      act = undefined;
      engine.createEmpty('base').close();
    };
    await assert.rejects(importTree(engine, root, { name: 'base' }), isFsError('EEXIST'));
    assert.deepEqual(
      engine.list().map(({ name, kind }) => [name, kind]),
      [['base', 'fork']],
    );
    assert.equal([...engine.tables.layers.entries()].length, 1);
  });

  test('when the disk is full leaves nothing', async (context) => {
    const root = directoryWith(context, {
      a: seededBytes(1, 2 * MEBIBYTE),
      b: 'x',
      c: seededBytes(2, 100_000),
    });
    const system = new FaultySystem(createSystem());
    const engine = await scratchStore(context, { system });
    system.plan = (operation, _index, path) =>
      operation === 'pwrite' && path.includes('/blobs/') ? { kind: 'error', code: 'ENOSPC' } : undefined;
    await assert.rejects(importTree(engine, root, { name: 'base' }), isFsError('ENOSPC'));
    system.plan = undefined;
    assertNothingLeft(engine);
  });

  test('when it is called off leaves nothing', async (context) => {
    const root = directoryWith(context, { a: 'one', b: 'two' });
    const engine = await scratchStore(context);
    const signal = AbortSignal.abort();
    await assert.rejects(importTree(engine, root, { name: 'base', signal }), isFsError('ECANCELED'));
    assertNothingLeft(engine);
  });
});

test('progress is reported, with counts that grow up to those of the report', async (context) => {
  const root = directoryWith(context, { a: 'one', 'b/c': 'two' });
  const engine = await scratchStore(context);
  const states: number[] = [];
  const report = await importTree(engine, root, {
    name: 'base',
    progress: ({ files }) => states.push(files),
  });
  assert.equal(states.at(-1), report.files);
  assert.deepEqual(
    states,
    [...states].sort((a, b) => a - b),
  );
});
