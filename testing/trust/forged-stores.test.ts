/**
 * Forged stores: rows with right checksums that Ramet never writes. Every walk of such a tree ends, if with an error
 * then with an error code; nothing is written outside the target; fsck names the row; everything else stays readable.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { DT_DIR, FsError, type Ino, type LayerId, type Name, StoreError } from '../../src/base/index.ts';
import type { InodeRecord } from '../../src/meta/index.ts';
import type { StoreEngine } from '../../src/store/index.ts';
import { diffTrees, storeUsage } from '../../src/survey/index.ts';
import { exportFileSystem, importTree } from '../../src/transfer/index.ts';
import { checkStore, collectGarbage } from '../../src/upkeep/index.ts';
import { ScratchCommand } from '../command/scratch-command.ts';
import { scratchDirectory, scratchStore } from '../stores/scratch-store.ts';
import { writeFile } from '../stores/shared-store.ts';

interface Places {
  readonly layer: LayerId;
  readonly root: Ino;
  /** /d, and /d/e in it. */
  readonly d: Ino;
  readonly e: Ino;
  /** /d/e/file */
  readonly file: Ino;
}

/** A store with a snapshot `base`, which has /d/e/file and /other, and another snapshot independent of it. */
async function sample(context: TestContext): Promise<StoreEngine> {
  const engine = await scratchStore(context);
  const fork = engine.createEmpty('made');
  fork.fileSystem.makeDirectory('/d', 0o755);
  fork.fileSystem.makeDirectory('/d/e', 0o755);
  writeFile(fork, '/d/e/file', Buffer.alloc(9000, 1));
  writeFile(fork, '/other', Buffer.from('other'));
  engine.snapshot('made', 'base');
  fork.close();
  engine.drop('made');
  const source = scratchDirectory(context);
  mkdirSync(join(source, 'x'));
  await importTree(engine, source, { name: 'unlike' });
  return engine;
}

function placesOf(engine: StoreEngine): Places {
  const { layer, root } = engine.info('base');
  const { dentries } = engine.tables;
  const below = (directory: Ino, name: string): Ino => dentries.get(layer, directory, name as Name)!.ino;
  const d = below(root, 'd');
  const e = below(d, 'e');
  return { layer, root, d, e, file: below(e, 'file') };
}

function forge(engine: StoreEngine, change: (places: Places) => void): void {
  engine.tables.transaction(() => change(placesOf(engine)));
}

function changeInode(engine: StoreEngine, layer: LayerId, ino: Ino, fields: Partial<InodeRecord>): void {
  const { inodes } = engine.tables;
  inodes.put(layer, ino, { ...inodes.get(layer, ino)!, ...fields });
}

async function exported(engine: StoreEngine, to: string | Writable, name = 'base'): Promise<void> {
  const tree = engine.openTree(name);
  try {
    await exportFileSystem(engine.system, name, tree.fileSystem, to);
  } finally {
    tree.close();
  }
}

/** The end of every walk of the tree: an error code, or 'done'. Any other error is a defect, and thrown. */
async function walks(context: TestContext, engine: StoreEngine): Promise<Record<string, string>> {
  const above = scratchDirectory(context);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const calls: Record<string, () => unknown> = {
    export: () => exported(engine, join(above, 'out')),
    tar: () => exported(engine, nowhere),
    du: () => storeUsage(engine),
    diff: () => diffTrees(engine, 'unlike', 'base'),
    gc: () => collectGarbage(engine),
    other: () => {
      const tree = engine.openTree('base');
      try {
        assert.equal(tree.fileSystem.stat('/other', true).size, 5);
      } finally {
        tree.close();
      }
    },
  };
  const ends: Record<string, string> = {};
  for (const [name, call] of Object.entries(calls)) {
    try {
      await call();
      ends[name] = 'done';
    } catch (error) {
      if (!(error instanceof FsError || error instanceof StoreError)) throw error;
      ends[name] = error.code;
    }
  }
  assert.deepEqual(readdirSync(above), existsSync(join(above, 'out')) ? ['out'] : []);
  return ends;
}

function problems(engine: StoreEngine): string {
  const { passes, skipped, isClean } = checkStore(engine);
  assert.equal(isClean, false);
  return [...passes.flatMap((pass) => pass.problems.map((one) => `${pass.name}: ${one}`)), ...skipped].join(
    '\n',
  );
}

describe('a store made by others', () => {
  for (const name of ['..', '.', '../out2', '/tmp/out', 'a\0b']) {
    test(`with the name ${JSON.stringify(name)}`, async (context) => {
      const engine = await sample(context);
      forge(engine, ({ layer, d, file }) =>
        engine.tables.dentries.put(layer, d, name as Name, { ino: file, kind: 8 }),
      );
      const { other, ...ends } = await walks(context, engine);
      const damage = 'ERR_STORE_CORRUPT';
      assert.deepEqual(ends, { export: damage, tar: damage, du: 'done', diff: damage, gc: 'done' });
      assert.equal(other, 'done');
      assert.match(
        problems(engine),
        /rows: .*dentry row of layer \d+, directory \d+, name .*: its key is invalid/,
      );
    });
  }

  test('with a directory in itself, in one below it, or under two names; a root inside', async (context) => {
    for (const [where, what] of [
      ['e', 'd'],
      ['d', 'd'],
      ['e', 'root'],
      ['root', 'root'],
      ['d', 'e'],
    ] as const) {
      const engine = await sample(context);
      forge(engine, (places) => {
        const dentry = { ino: places[what], kind: DT_DIR };
        engine.tables.dentries.put(places.layer, places[where], 'again' as Name, dentry);
      });
      const ends = await walks(context, engine);
      const expected = { export: 'EIO', tar: 'EIO', du: 'done', diff: 'EIO', gc: 'done', other: 'done' };
      assert.deepEqual(ends, expected, `${what} in ${where}`);
      assert.match(problems(engine), /links: .*(says that it lies in|stands for the root|with 2 names)/);
    }
  });

  test('with two names for each directory, in a union', { timeout: 60_000 }, async (context) => {
    const engine = await sample(context);
    forge(engine, ({ layer, root, e }) => {
      let above = root;
      for (let level = 1; level <= 40; level++) {
        const ino = (e + 1000 + level) as Ino;
        const { dentries, inodes } = engine.tables;
        inodes.put(layer, ino, { ...inodes.get(layer, e)!, parent: above });
        for (const name of ['one', 'two']) dentries.put(layer, above, name as Name, { ino, kind: DT_DIR });
        above = ino;
      }
    });
    engine.forkUnion(['unlike', 'base'], 'union').close();
    await assert.rejects(exported(engine, join(scratchDirectory(context), 'out'), 'union'), { code: 'EIO' });
    assert.match(problems(engine), /links: .*with 2 names/);
  });

  test('with layers that stand on each other', async (context) => {
    const engine = await sample(context);
    const fork = engine.fork('base', 'fork');
    fork.fileSystem.makeDirectory('/more', 0o755);
    engine.snapshot('fork', 'second');
    fork.close();
    const { layer } = engine.info('second');
    forge(engine, ({ layer: base }) => {
      const { layers } = engine.tables;
      layers.put(base, { ...layers.get(base)!, parent: layer });
    });
    const reopened = engine.directory;
    await engine.close();
    const { StoreEngine } = await import('../../src/store/index.ts');
    const again = await StoreEngine.open(reopened);
    context.after(() => again.close());
    const { other, gc, ...ends } = await walks(context, again);
    assert.deepEqual(new Set(Object.values({ ...ends, other, gc })), new Set(['ERR_STORE_CORRUPT']));
    assert.match(problems(again), /layers: layer \d+ has depth \d+, the one below it \d+/);
    const unlike = again.openTree('unlike');
    assert.deepEqual(unlike.fileSystem.readDirectoryNames('/'), ['x']);
    unlike.close();
  });

  test('with inodes that no file has', async (context) => {
    const bad: readonly Partial<InodeRecord>[] = [
      { mode: 0o170644 },
      { mode: 0o120777, target: '' },
      { mode: 0o120777, target: 'a\0b' },
      { mode: 0o120777, target: 'a'.repeat(4096) },
      { mtimeNanoseconds: 1e9 },
      { parent: (2 ** 52) as Ino },
      { blocks: 2 ** 50 },
    ];
    for (const fields of bad) {
      const engine = await sample(context);
      forge(engine, ({ layer, file }) => changeInode(engine, layer, file, fields));
      const { export: ended, other } = await walks(context, engine);
      assert.deepEqual([ended, other], ['ERR_STORE_CORRUPT', 'done'], JSON.stringify(fields));
      assert.match(problems(engine), /rows: .*inode row of layer \d+, inode \d+/);
    }
  });

  test('with runs that lie nowhere', async (context) => {
    const engine = await sample(context);
    const { layer, file } = placesOf(engine);
    const [run] = engine.tables.extents.load(layer, file)!;
    for (const physical of [1000, 2 ** 40]) {
      forge(engine, () =>
        engine.tables.extents.putChunk(layer, file, 0, [{ ...run!, physical: physical as never }]),
      );
      const ends = await walks(context, engine);
      assert.deepEqual([ends.export, ends.du, ends.other], ['EIO', 'EIO', 'done'], String(physical));
      assert.match(problems(engine), /references: inode \d+ of layer \d+ has block/);
    }
  });

  test('with a tree whose name leads elsewhere', async (context) => {
    const engine = await sample(context);
    forge(engine, () => {
      const { name: _name, ...tree } = engine.info('base');
      engine.tables.trees.put('../evil', { ...tree, id: 99 });
    });
    assert.throws(() => engine.list(), { code: 'ERR_STORE_CORRUPT', message: /evil/ });
    const tree = engine.openTree('base');
    assert.equal(tree.fileSystem.stat('/other', true).size, 5);
    tree.close();
  });

  test('the command copies, lists and removes nothing outside', async (context) => {
    const scratch = new ScratchCommand(context);
    mkdirSync(scratch.at('repo/d'), { recursive: true });
    scratch.must('init');
    scratch.must('import', 'repo', '--name', 'base');
    const { StoreEngine } = await import('../../src/store/index.ts');
    const engine = await StoreEngine.open(scratch.at('.ramet'));
    const { layer, root } = engine.info('base');
    const d = engine.tables.dentries.get(layer, root, 'd' as Name)!;
    engine.tables.transaction(() =>
      engine.tables.dentries.put(layer, d.ino, 'up' as Name, { ino: root, kind: DT_DIR }),
    );
    engine.fork('base', 'round').close();
    engine.tables.transaction(() => engine.tables.dentries.put(layer, root, '..' as Name, d));
    await engine.close();
    for (const args of [
      ['cp', '-r', 'base:/', 'out/deep'],
      ['cp', '-r', 'base:/d', 'out2'],
      ['rm', '-r', 'round:/d'],
      ['ls', '-r', 'base:/'],
      ['diff', 'base', 'round'],
      ['export', 'base', 'out3'],
    ]) {
      const { err, code } = scratch.run(...args);
      if (args[0] !== 'diff' && args[0] !== 'ls') assert.equal(code, 1, args.join(' '));
      assert.doesNotMatch(err, /INTERNAL|defect|TypeError|RangeError/, args.join(' '));
    }
    assert.deepEqual(
      readdirSync(scratch.directory)
        .filter((name) => !name.startsWith('out'))
        .sort(),
      ['.ramet', 'repo'],
    );
  });
});
