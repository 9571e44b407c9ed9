/** storeUsage and filePages, against sets of blocks counted one by one in open trees. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { writeText as write } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { seededBytes, writeSparse } from '../../testing/trees/odd-tree.ts';
import { BLOCK_SIZE, isFsError, SeededRandom } from '../base/index.ts';
import type { Tree } from '../store/index.ts';
import { StoreEngine } from '../store/index.ts';
import { createBufferedSystem } from '../sys/index.ts';
import { importTree } from '../transfer/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { type DuReport, storeUsage } from './du.ts';
import { filePages } from './pages.ts';

const O_RDWR_CREATE = 0o102;
const NAMES = ['a', 'b', 'c', 'sub/d', 'sub/e', 'new', 'other'];

async function storeWithBase(context: TestContext): Promise<StoreEngine> {
  const root = join(scratchDirectory(context), 'tree');
  mkdirSync(join(root, 'sub'), { recursive: true });
  writeFileSync(join(root, 'a'), seededBytes(1, 3 * BLOCK_SIZE));
  // Two files with equal content: their blocks are stored once, and must be counted once.
  writeFileSync(join(root, 'b'), seededBytes(2, 5 * BLOCK_SIZE + 1));
  writeFileSync(join(root, 'c'), seededBytes(2, 5 * BLOCK_SIZE + 1));
  writeSparse(join(root, 'sub/d'), 50 * BLOCK_SIZE, [[20 * BLOCK_SIZE, seededBytes(3, BLOCK_SIZE)]]);
  writeFileSync(join(root, 'sub/e'), seededBytes(4, 2_000_000));
  const engine = await scratchStore(context);
  await importTree(engine, root, { name: 'base' });
  return engine;
}

test("trees mounted in the store do not count as the store's own", async (context) => {
  const engine = await storeWithBase(context);
  const before = storeUsage(engine).diskBytes;
  const { mountsDirectory } = engine.layout;
  mkdirSync(join(mountsDirectory, 'try'), { recursive: true });
  writeFileSync(join(mountsDirectory, 'try', 'large'), seededBytes(1, 1_000_000));
  const added = storeUsage(engine).diskBytes - before;
  assert.ok(added < 100_000, `${added} bytes: the directories alone`);
});

test('the pages of a file in a fork of another process, after it was checkpointed there', async (context) => {
  const engine = await storeWithBase(context);
  const tree = engine.fork('base', 'try');
  write(tree.fileSystem, '/a', seededBytes(9, BLOCK_SIZE), BLOCK_SIZE);
  const other = await StoreEngine.open(engine.directory);
  context.after(() => other.close());
  assert.throws(
    () => filePages(other, 'try', '/a'),
    (error) => isFsError(error, 'EBUSY'),
  );
  tree.checkpoint();
  const { privateCount, sharedCount } = filePages(other, 'try', '/a', tree.fileSystem.stat('/a', true));
  assert.deepEqual([privateCount, sharedCount], [1, 2]);
  const directory = tree.fileSystem.stat('/sub', true);
  assert.throws(
    () => filePages(other, 'try', '/sub', directory),
    (error) => isFsError(error, 'EISDIR'),
  );
});

function reflink(fileSystem: FileSystem, from: string, to: string): void {
  const source = fileSystem.open(from, 0, 0);
  const target = fileSystem.open(to, O_RDWR_CREATE, 0o644);
  try {
    fileSystem.reflink(source, target);
  } finally {
    fileSystem.close(source);
    fileSystem.close(target);
  }
}

/** The blocks of every file of an open tree, as `blob/block`, each file by its inode number. */
function blocksOf(tree: Tree): Map<number, { readonly size: number; readonly blocks: readonly string[] }> {
  const files = new Map<number, { size: number; blocks: string[] }>();
  const visit = (path: string): void => {
    const { ino, mode, size } = tree.fileSystem.stat(path === '' ? '/' : path, false);
    if ((mode & 0o170000) === 0o040000) {
      for (const name of tree.fileSystem.readDirectoryNames(path === '' ? '/' : path))
        visit(`${path}/${name}`);
    } else if ((mode & 0o170000) === 0o100000) {
      const blocks: string[] = [];
      const { extents } = tree.stack.mappingOf(tree.stack.inode(ino as never));
      for (const { blob, physical, count } of extents) {
        for (let block = physical as number; block < physical + count; block++)
          blocks.push(`${blob}/${block}`);
      }
      files.set(ino, { size, blocks });
    }
  };
  visit('');
  return files;
}

/** The expected usage, in bytes. */
function expectedUsage(trees: readonly Tree[]): Pick<DuReport, 'trees' | 'liveBytes' | 'unsharedBytes'> {
  const sets = trees.map((tree) => new Set([...blocksOf(tree).values()].flatMap(({ blocks }) => blocks)));
  const usage = trees.map((tree, index) => {
    const files = [...blocksOf(tree).values()];
    const own = [...sets[index]!].filter((block) =>
      sets.every((set, other) => other === index || !set.has(block)),
    );
    const referencedBytes = sets[index]!.size * BLOCK_SIZE;
    const exclusiveBytes = own.length * BLOCK_SIZE;
    return {
      name: tree.info.name,
      kind: tree.info.kind,
      files: files.length,
      apparentBytes: files.reduce((sum, file) => sum + file.size, 0),
      referencedBytes,
      exclusiveBytes,
      sharedBytes: referencedBytes - exclusiveBytes,
    };
  });
  return {
    trees: usage.sort((a, b) => (a.name < b.name ? -1 : 1)),
    liveBytes: new Set(sets.flatMap((set) => [...set])).size * BLOCK_SIZE,
    unsharedBytes: usage.reduce((sum, tree) => sum + tree.referencedBytes, 0),
  };
}

function assertUsage(engine: StoreEngine, trees: readonly Tree[], message: string): void {
  const { trees: counted, liveBytes, unsharedBytes } = storeUsage(engine);
  assert.deepEqual({ trees: counted, liveBytes, unsharedBytes }, expectedUsage(trees), message);
}

function changeSomething(fileSystem: FileSystem, random: SeededRandom): void {
  const pick = (): string => `/${NAMES[random.below(NAMES.length)]!}`;
  const acts: (() => void)[] = [
    () => write(fileSystem, pick(), seededBytes(9, 1 + random.below(9000)), random.below(60) * BLOCK_SIZE),
    () => fileSystem.unlink(pick()),
    () => fileSystem.rename(pick(), pick()),
    () => fileSystem.link(pick(), pick(), false),
    () => reflink(fileSystem, pick(), pick()),
    () => fileSystem.truncate(pick(), random.below(100_000)),
    () => fileSystem.chmod(pick(), 0o600, false),
  ];
  try {
    acts[random.below(acts.length)]!();
  } catch (error) {
    if (!isFsError(error)) throw error;
  }
}

describe('storeUsage', () => {
  test('of an import counts identical content once, and holes not at all', {
    skip: nativeOnly,
  }, async (context) => {
    const engine = await storeWithBase(context);
    const [base] = storeUsage(engine).trees;
    const blocks = 3 + 6 + 1 + Math.ceil(2_000_000 / BLOCK_SIZE);
    assert.equal(base?.files, 5);
    assert.equal(base?.referencedBytes, blocks * BLOCK_SIZE);
    assert.equal(base?.exclusiveBytes, blocks * BLOCK_SIZE);
    assertUsage(engine, [engine.openTree('base')], 'base');
  });

  test('of forks equals a count of every block, after random changes', async (context) => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = new SeededRandom(seed);
      const engine = await storeWithBase(context);
      const trees = [engine.openTree('base'), engine.fork('base', 'one'), engine.fork('base', 'two')];
      for (let count = 0; count < 12; count++) changeSomething(trees[1]!.fileSystem, random);
      trees.push(engine.fork('one', 'three'));
      for (let count = 0; count < 40; count++) {
        changeSomething(trees[1 + random.below(3)]!.fileSystem, random);
      }
      assertUsage(engine, trees, `seed ${seed}`);
      await engine.close();
    }
  });

  test('of the disk is at least the live bytes', async (context) => {
    const engine = await storeWithBase(context);
    const report = storeUsage(engine);
    assert.ok(report.blobDiskBytes >= report.liveBytes);
    const { blobDiskBytes, metaDiskBytes, reserveDiskBytes } = report;
    assert.ok(reserveDiskBytes >= 4 * 1024 * 1024);
    assert.ok(report.diskBytes >= blobDiskBytes + metaDiskBytes + reserveDiskBytes);
  });

  test('counts the remaining blocks when the snapshot under a fork is dropped', async (context) => {
    const engine = await storeWithBase(context);
    const fork = engine.fork('base', 'try');
    fork.fileSystem.unlink('/a');
    engine.drop('base');
    assertUsage(engine, [fork], 'after the drop');
  });
});

describe('filePages', () => {
  test('lists private, shared and absent pages, and the trees that share them', {
    skip: nativeOnly,
  }, async (context) => {
    const engine = await storeWithBase(context);
    engine.fork('base', 'idle').close();
    const { fileSystem } = engine.fork('base', 'try');
    write(fileSystem, '/a', Buffer.from('x'), BLOCK_SIZE);
    const report = filePages(engine, 'try', '/a');
    assert.deepEqual(
      report.runs.map(({ first, count, kind, trees }) => [first, count, kind, ...trees]),
      [
        [0, 1, 'shared', 'base', 'idle'],
        [1, 1, 'private'],
        [2, 1, 'shared', 'base', 'idle'],
      ],
    );
    assert.deepEqual(
      [report.pageCount, report.privateCount, report.sharedCount, report.holeCount],
      [3, 1, 2, 0],
    );
    const sparse = filePages(engine, 'base', '/sub/d');
    assert.deepEqual(
      sparse.runs.map(({ first, count, kind }) => [first, count, kind]),
      [
        [0, 20, 'hole'],
        [20, 1, 'shared'],
        [21, 29, 'hole'],
      ],
    );
  });

  test('a page of two files of one tree is shared within it', async (context) => {
    const engine = await storeWithBase(context);
    const report = filePages(engine, 'base', '/b');
    assert.deepEqual(
      report.runs.map(({ kind, trees, isSharedWithin }) => ({ kind, trees, isSharedWithin })),
      [{ kind: 'shared', trees: [], isSharedWithin: true }],
    );
  });

  test('pages that were just read are in memory; pages dropped from the cache need not be', {
    skip: nativeOnly,
  }, async (context) => {
    const engine = await storeWithBase(context);
    const tree = engine.openTree('base');
    const file = tree.fileSystem.open('/sub/e', 0, 0);
    tree.fileSystem.read(file, Buffer.alloc(2_000_000), 0, 2_000_000, 0);
    const report = filePages(engine, 'base', '/sub/e');
    assert.equal(report.residentCount, report.pageCount);
    assert.equal(report.resident.length, report.pageCount);
    const [run] = report.runs;
    engine.system.dropCache(engine.blobs.descriptor(run!.blob as never));
    assert.ok(filePages(engine, 'base', '/sub/e').residentCount <= report.pageCount);
  });

  test('gives -1 where the host cannot tell what is in memory', async (context) => {
    const root = scratchDirectory(context);
    writeFileSync(join(root, 'a'), 'x');
    const engine = await scratchStore(context, { system: createBufferedSystem() });
    await importTree(engine, root, { name: 'base' });
    const report = filePages(engine, 'base', '/a');
    assert.equal(report.residentCount, -1);
    assert.equal(report.resident.length, 0);
    assert.equal(report.privateCount, 1);
  });

  test('refuses missing files, directories and paths through files', async (context) => {
    const engine = await storeWithBase(context);
    for (const [path, code] of [
      ['/nope', 'ENOENT'],
      ['/sub', 'EISDIR'],
      ['/a/b', 'ENOTDIR'],
    ] as const) {
      assert.throws(
        () => filePages(engine, 'base', path),
        (error) => isFsError(error, code),
      );
    }
  });
});
