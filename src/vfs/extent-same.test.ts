/** FIDEDUPERANGE by the rules of ioctl_fideduperange(2), and of Linux's fs/remap_range.c for the ends of files. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import { actAs } from '../../testing/stores/act-as.ts';
import {
  patternBytes,
  problemsOf,
  readFile,
  SharedStore,
  writeFile,
} from '../../testing/stores/shared-store.ts';
import { BLOCK_SIZE, FsError } from '../base/index.ts';
import type { Tree } from '../store/index.ts';

const { O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** Runs one call on two paths; the answer is how many bytes are shared, 'differs', or a code. */
function same(
  tree: Tree,
  [path, position]: readonly [string, number],
  length: number,
  [targetPath, targetPosition]: readonly [string, number],
  flags: readonly [number, number] = [O_RDONLY, O_RDWR],
): number | string {
  const { fileSystem } = tree;
  const source = fileSystem.open(path, flags[0], 0);
  const target = fileSystem.open(targetPath, flags[1], 0);
  try {
    const targets = [{ file: target, position: targetPosition }];
    const [outcome] = fileSystem.extentSame(source, position, length, targets);
    if (outcome instanceof FsError) return outcome.code;
    return outcome!.isSame ? outcome!.bytesDeduped : 'differs';
  } catch (error) {
    if (error instanceof FsError) return error.code;
    throw error;
  } finally {
    fileSystem.close(source);
    fileSystem.close(target);
  }
}

function firstPlace(tree: Tree, path: string, block = 0): string {
  const file = tree.fileSystem.open(path, O_RDONLY, 0);
  const { extents } = tree.stack.mappingOf(file.inode);
  tree.fileSystem.close(file);
  extents.locate(block);
  return `${extents.foundBlob}:${extents.foundPhysical}`;
}

async function withTree(run: (tree: Tree) => void): Promise<void> {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  run(tree);
  assert.deepEqual(problemsOf(engine), []);
}

test('equal ranges share blocks, and no time changes', () =>
  withTree((tree) => {
    const bytes = patternBytes(4 * BLOCK_SIZE, 1);
    writeFile(tree, '/a', bytes);
    writeFile(tree, '/b', bytes);
    const before = tree.fileSystem.stat('/b', true);
    assert.equal(same(tree, ['/a', 0], 4 * BLOCK_SIZE, ['/b', 0]), 4 * BLOCK_SIZE);
    assert.equal(firstPlace(tree, '/a'), firstPlace(tree, '/b'));
    assert.deepEqual(tree.fileSystem.stat('/b', true), before);
    writeFile(tree, '/b', Buffer.from('x'));
    assert.deepEqual(readFile(tree, '/a'), bytes, 'a write takes them apart again');
    assert.equal(firstPlace(tree, '/a', 1), firstPlace(tree, '/b', 1));
  }));

test('unequal ranges stay as they are', () =>
  withTree((tree) => {
    writeFile(tree, '/a', Buffer.alloc(2 * BLOCK_SIZE, 1));
    writeFile(tree, '/b', Buffer.concat([Buffer.alloc(BLOCK_SIZE, 1), Buffer.alloc(BLOCK_SIZE, 2)]));
    assert.equal(same(tree, ['/a', 0], 2 * BLOCK_SIZE, ['/b', 0]), 'differs');
    assert.notEqual(firstPlace(tree, '/a'), firstPlace(tree, '/b'));
    assert.equal(same(tree, ['/a', 0], BLOCK_SIZE, ['/b', 0]), BLOCK_SIZE);
    assert.equal(same(tree, ['/a', 0], 0, ['/b', 0]), 0);
  }));

test('a partial last block is shared where both files end, and left out elsewhere', () =>
  withTree((tree) => {
    const bytes = patternBytes(2 * BLOCK_SIZE + 100, 1);
    writeFile(tree, '/a', bytes);
    writeFile(tree, '/b', bytes);
    writeFile(tree, '/longer', Buffer.concat([bytes, Buffer.from('more')]));
    assert.equal(same(tree, ['/a', 0], bytes.length, ['/b', 0]), bytes.length);
    assert.equal(firstPlace(tree, '/a', 2), firstPlace(tree, '/b', 2));
    assert.equal(same(tree, ['/a', 0], bytes.length, ['/longer', 0]), 2 * BLOCK_SIZE);
    assert.notEqual(firstPlace(tree, '/a', 2), firstPlace(tree, '/longer', 2));
    assert.equal(same(tree, ['/a', 0], BLOCK_SIZE + 7, ['/b', 0]), BLOCK_SIZE);
  }));

test('calls that are not allowed fail with the codes of Linux', () =>
  withTree((tree) => {
    for (const path of ['/a', '/b']) writeFile(tree, path, Buffer.alloc(4 * BLOCK_SIZE, 1));
    tree.fileSystem.makeDirectory('/d', 0o755);
    assert.equal(same(tree, ['/a', 1], BLOCK_SIZE, ['/b', 0]), 'EINVAL', 'not at a block');
    assert.equal(same(tree, ['/a', 0], BLOCK_SIZE, ['/b', 7]), 'EINVAL');
    assert.equal(same(tree, ['/a', 0], 5 * BLOCK_SIZE, ['/b', 0]), 'EINVAL', 'beyond the end');
    assert.equal(same(tree, ['/a', 0], 2 * BLOCK_SIZE, ['/b', 3 * BLOCK_SIZE]), 'EINVAL');
    assert.equal(same(tree, ['/a', 0], 2 * BLOCK_SIZE, ['/a', BLOCK_SIZE]), 'EINVAL', 'they overlap');
    assert.equal(same(tree, ['/a', 0], 2 * BLOCK_SIZE, ['/a', 2 * BLOCK_SIZE]), 2 * BLOCK_SIZE);
    assert.equal(same(tree, ['/d', 0], BLOCK_SIZE, ['/a', 0]), 'EISDIR');
    assert.equal(same(tree, ['/a', 0], BLOCK_SIZE, ['/d', 0], [O_RDONLY, O_RDONLY]), 'EISDIR');
    assert.equal(same(tree, ['/a', 0], BLOCK_SIZE, ['/b', 0], [O_WRONLY, O_RDWR]), 'EBADF');
    assert.equal(
      same(tree, ['/a', 0], BLOCK_SIZE, ['/b', 0], [O_RDONLY, O_RDONLY]),
      BLOCK_SIZE,
      'it is ours',
    );
    actAs(tree.fileSystem, { uid: 4711, gid: 4711, groups: [] });
    assert.equal(same(tree, ['/a', 0], BLOCK_SIZE, ['/b', 0], [O_RDONLY, O_RDONLY]), 'EPERM');
  }));

test('holes stay holes, and allocated space stays allocated', () =>
  withTree((tree) => {
    writeFile(tree, '/zeros', Buffer.alloc(3 * BLOCK_SIZE));
    writeFile(tree, '/holes', Buffer.alloc(BLOCK_SIZE), 2 * BLOCK_SIZE);
    assert.equal(same(tree, ['/holes', 0], 3 * BLOCK_SIZE, ['/zeros', 0]), 3 * BLOCK_SIZE);
    assert.equal(tree.fileSystem.stat('/zeros', true).blocks, 24);
    assert.equal(tree.fileSystem.stat('/holes', true).blocks, 8);
    assert.equal(firstPlace(tree, '/zeros', 2), firstPlace(tree, '/holes', 2));
  }));

test('frozen blocks can be shared between trees; others give EXDEV', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const [one, two] = [engine.createEmpty('one'), engine.createEmpty('two')];
  const bytes = patternBytes(4 * BLOCK_SIZE, 1);
  for (const tree of [one, two]) writeFile(tree, '/a', bytes);
  const share = (): string | number => {
    const [source, target] = [one.fileSystem.open('/a', O_RDONLY, 0), two.fileSystem.open('/a', O_RDWR, 0)];
    const targets = [{ file: target, position: 0 }];
    const [outcome] = two.fileSystem.extentSame(source, 0, bytes.length, targets, one.fileSystem);
    return outcome instanceof FsError ? outcome.code : outcome!.bytesDeduped;
  };
  assert.equal(share(), 'EXDEV');
  engine.snapshot('one', 'frozen');
  assert.equal(share(), bytes.length);
  assert.equal(firstPlace(one, '/a'), firstPlace(two, '/a'));
  assert.deepEqual(problemsOf(engine), []);
});
