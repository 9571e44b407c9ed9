/** Paths of inodes that were reached by their numbers. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { writeFile } from '../../testing/stores/shared-store.ts';
import { HostTree } from '../../testing/trees/host-tree.ts';
import { nameFromString } from '../base/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { hintedPath } from './inode-path.ts';

/** The path of the inode at `path`, in a process that knows only its number. */
function pathOf(tree: Tree, path: string): string | undefined {
  const { ino } = tree.fileSystem.stat(path, false);
  tree.stack.dropInodes(Number.POSITIVE_INFINITY);
  return hintedPath(tree.stack, tree.stack.inode(ino as never)); // Its number, from stat.
}

async function storeWithBase(context: TestContext): Promise<StoreEngine> {
  const engine = await scratchStore(context);
  const { fileSystem } = engine.createEmpty('first');
  const first = engine.openTreeOf('first')!;
  for (const path of ['/a', '/a/b', '/a/b/c']) fileSystem.makeDirectory(path, 0o755);
  for (const path of ['/top', '/a/b/c/deep', '/a/link']) writeFile(first, path, Buffer.from(path));
  engine.snapshot('first', 'base');
  return engine;
}

test('files and directories in lower layers and in the upper one have their paths', async (context) => {
  const engine = await storeWithBase(context);
  const tree = engine.fork('base', 'fork');
  const name = nameFromString('ö€');
  writeFile(tree, `/a/b/${name}`, Buffer.from('new'));
  assert.equal(pathOf(tree, '/'), '');
  for (const path of ['/top', '/a/b/c', '/a/b/c/deep', `/a/b/${name}`])
    assert.equal(pathOf(tree, path), path.slice(1));
  tree.fileSystem.rename('/a/b', '/moved');
  tree.checkpoint();
  for (const path of ['/moved', '/moved/c/deep', `/moved/${name}`])
    assert.equal(pathOf(tree, path), path.slice(1));
});

test('a file with several names has the path of the last one it got; undefined if that is gone', async (context) => {
  const engine = await storeWithBase(context);
  const tree = engine.fork('base', 'fork');
  const { fileSystem } = tree;
  fileSystem.link('/a/link', '/a/b/second', false);
  assert.equal(pathOf(tree, '/a/link'), 'a/b/second');
  fileSystem.unlink('/a/b/second');
  assert.equal(pathOf(tree, '/a/link'), undefined);
  fileSystem.link('/a/link', '/a/b/c/third', false);
  fileSystem.unlink('/a/b/c/third');
  fileSystem.unlink('/a/b/c/deep');
  fileSystem.removeDirectory('/a/b/c');
  assert.equal(pathOf(tree, '/a/link'), undefined, 'the directory is gone');
  const file = fileSystem.open('/top', 0, 0);
  fileSystem.unlink('/top');
  assert.equal(hintedPath(tree.stack, file.inode), undefined);
  fileSystem.close(file);
});

test('inodes of a host tree have their paths, also after a rename in the fork', {
  skip: nativeOnly,
}, async (context) => {
  const host = await HostTree.create(context);
  for (const path of ['file', 'directory/inner', 'directory/other']) host.write(path);
  const tree = host.fork('fork', false);
  const { fileSystem } = tree;
  assert.equal(pathOf(tree, '/directory/inner'), 'directory/inner');
  fileSystem.chmod('/directory/inner', 0o600, true);
  assert.equal(pathOf(tree, '/directory/inner'), 'directory/inner');
  fileSystem.rename('/directory/inner', '/moved');
  fileSystem.rename('/directory', '/renamed');
  for (const path of ['/moved', '/renamed/other', '/file']) assert.equal(pathOf(tree, path), path.slice(1));
  host.remove('file');
  assert.equal(pathOf(tree, '/moved'), 'moved');
  tree.close();
});
