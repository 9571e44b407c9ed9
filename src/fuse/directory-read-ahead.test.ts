/** Read-ahead prepares the next directory of a walk while no request is pending. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  type DirectoryEntry,
  type FuseKernel,
  Op,
  pack,
  ROOT,
  scratchKernel,
} from '../../testing/fuse/fuse-kernel.ts';
import { writeFile } from '../../testing/stores/shared-store.ts';
import type { Ino } from '../base/index.ts';
import { entryIno } from '../lower/index.ts';

const DIRECTORIES = 4;
const FILES = 10;

/** `/d0` … `/d3`, each with files `f0` … `f9`, and `/d0/deep` with one. */
async function filledKernel(context: TestContext): Promise<FuseKernel> {
  const { kernel } = await scratchKernel(context, (tree) => {
    for (let at = 0; at < DIRECTORIES; at++) {
      tree.fileSystem.makeDirectory(`/d${at}`, 0o755);
      for (let file = 0; file < FILES; file++)
        writeFile(tree, `/d${at}/f${file}`, Buffer.from(`${at} ${file}`));
      tree.fileSystem.makeDirectory(`/d${at}/deep`, 0o755);
      writeFile(tree, `/d${at}/deep/file`, Buffer.from(`${at} deep`));
    }
  });
  return kernel;
}

/** Walks the first directory and the one inside it. Returns the second directory. */
function walkToSecond(kernel: FuseKernel): DirectoryEntry {
  const [first, second] = kernel.list(ROOT);
  kernel.list(first!.node);
  kernel.list(kernel.lookup(first!.node, 'deep'));
  return second!;
}

/** Prepares until nothing is left; returns the number of steps. */
function prepareAll({ session }: FuseKernel): number {
  let pieces = 0;
  while (session.readAhead.directories.prepare()) pieces++;
  return pieces;
}

/** True if the names of a directory and their inodes are in memory. */
function isReady({ tree }: FuseKernel, node: number): boolean {
  const directory = tree.stack.inodes.get(node as Ino);
  if (directory?.isComplete !== true) return false;
  return [...directory.children!.values()].every((entry) => tree.stack.inodes.has(entryIno(entry)));
}

describe('reading ahead from directory to directory', () => {
  it('skips a directory of very many names', async (context) => {
    const { kernel } = await scratchKernel(context, (tree) => {
      for (const name of ['first', 'second', 'third']) {
        tree.fileSystem.makeDirectory(`/${name}`, 0o755);
        tree.fileSystem.makeDirectory(`/${name}/deep`, 0o755);
        for (let file = 0; file < 4096; file++) tree.fileSystem.symlink('x', `/${name}/${file}`);
      }
    });
    const [first, second] = kernel.list(ROOT);
    kernel.list(first!.node);
    kernel.list(kernel.lookup(first!.node, 'deep'));
    assert.equal(prepareAll(kernel), 1, 'it was looked at');
    const directory = kernel.tree.stack.inodes.get(second!.node as Ino);
    assert.notEqual(directory?.isComplete, true);
    assert.equal(kernel.list(second!.node).length, 4097);
  });

  it('begins with the second directory of a walk', async (context) => {
    const kernel = await filledKernel(context);
    const [first] = kernel.list(ROOT);
    assert.equal(prepareAll(kernel), 0, 'one that is listed may be all that somebody wants');
    const inside = kernel.list(first!.node).find(({ name }) => name === 'deep')!;
    assert.ok(!isReady(kernel, inside.node));
    assert.ok(prepareAll(kernel) >= 2, 'names first, then inodes');
    assert.ok(isReady(kernel, inside.node));
  });

  it('goes down first, then to the next directory, then to the next of the parent', async (context) => {
    const kernel = await filledKernel(context);
    const directories = kernel.list(ROOT);
    const deepIn = (node: number) => kernel.list(node).find(({ name }) => name === 'deep')!.node;
    for (let at = 0; at + 1 < DIRECTORIES; at++) {
      const deep = deepIn(directories[at]!.node);
      prepareAll(kernel);
      assert.ok(isReady(kernel, deep));
      assert.deepEqual(
        kernel.list(deep).map(({ name }) => name),
        ['file'],
      );
      const next = directories[at + 1]!.node;
      assert.ok(!isReady(kernel, next));
      prepareAll(kernel);
      assert.ok(isReady(kernel, next));
    }
  });

  it('reads four inodes at once, and nothing of a directory that is listed already', async (context) => {
    const kernel = await filledKernel(context);
    const second = walkToSecond(kernel);
    // One step for the names, then one for every four of the eleven inodes.
    assert.equal(prepareAll(kernel), 1 + Math.ceil((FILES + 1) / 4));
    assert.equal(kernel.list(second.node).length, FILES + 1);
  });

  it('changes neither listings nor access times', async (context) => {
    const kernel = await filledKernel(context);
    const { tree } = kernel;
    const second = walkToSecond(kernel);
    prepareAll(kernel);
    assert.ok(!tree.stack.lazyTimes.has(tree.stack.inode(second.node as Ino)), 'nobody has read it');
    kernel.ask(Op.UNLINK, second.node, pack('f3'));
    kernel.create(second.node, 'new');
    const names = kernel.list(second.node).map(({ name }) => name);
    const expected = ['deep', 'new', ...Array.from({ length: FILES }, (_, at) => `f${at}`)];
    assert.deepEqual(names.sort(), expected.filter((name) => name !== 'f3').sort());
  });

  it('skips a directory that was removed or is no longer in memory', async (context) => {
    const kernel = await filledKernel(context);
    const { tree } = kernel;
    const second = walkToSecond(kernel);
    kernel.session.readAhead.directories.prepare();
    for (const { name } of kernel.list(second.node)) {
      if (name === 'deep') {
        const deep = kernel.lookup(second.node, 'deep');
        kernel.ask(Op.UNLINK, deep, pack('file'));
        kernel.ask(Op.RMDIR, second.node, pack(name));
      } else kernel.ask(Op.UNLINK, second.node, pack(name));
    }
    kernel.ask(Op.RMDIR, ROOT, pack(second.name));
    prepareAll(kernel);
    tree.stack.dropInodes(Number.POSITIVE_INFINITY);
    prepareAll(kernel);
    assert.equal(kernel.list(ROOT).length, DIRECTORIES - 1);
  });
});
