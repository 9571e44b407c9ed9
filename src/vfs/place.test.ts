/** One name at a time: what a caller does that is given inodes and names instead of paths. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { type Name, S_IFIFO } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { FileSystem } from './file-system.ts';
import * as namespace from './namespace.ts';
import { RENAME_EXCHANGE } from './namespace.ts';
import * as opening from './opening.ts';
import { type Place, placeIn } from './path-walk.ts';

const { O_CREAT, O_EXCL, O_RDWR } = constants;

async function emptyTree(context: TestContext): Promise<FileSystem> {
  return (await scratchStore(context)).createEmpty('work').fileSystem;
}

function at(fileSystem: FileSystem, directory: Inode, name: string): Place {
  return placeIn(fileSystem.context, directory, name as Name);
}

test('every operation works on places that were found one name at a time', async (context) => {
  const fileSystem = await emptyTree(context);
  const { root } = fileSystem.stack;
  const house = namespace.makeDirectoryAt(fileSystem.context, at(fileSystem, root, 'house'), 0o755);
  const inHouse = (name: string) => at(fileSystem, house, name);
  opening.close(
    fileSystem.context,
    opening.openAt(fileSystem.context, inHouse('file'), O_CREAT | O_RDWR, 0o644, 'file'),
  );
  namespace.makeNodeAt(fileSystem.context, inHouse('fifo'), S_IFIFO | 0o600, 0);
  namespace.symlinkAt(fileSystem.context, inHouse('link'), 'file');
  const { inode } = inHouse('file');
  assert.ok(inode !== undefined);
  namespace.linkAt(fileSystem.context, inode, inHouse('second'));
  assert.equal(fileSystem.stat('/house/second', true).nlink, 2);
  namespace.unlinkAt(fileSystem.context, inHouse('file'));
  namespace.makeDirectoryAt(fileSystem.context, inHouse('inner'), 0o755);
  namespace.renameAt(fileSystem.context, inHouse('second'), at(fileSystem, root, 'third'), 0);
  namespace.renameAt(fileSystem.context, inHouse('fifo'), inHouse('link'), RENAME_EXCHANGE);
  namespace.removeDirectoryAt(fileSystem.context, inHouse('inner'));
  assert.equal(fileSystem.stat('/third', true).ino, inode.ino);
  assert.equal(fileSystem.readLink('/house/fifo'), 'file');
  assert.deepEqual([...fileSystem.readDirectoryNames('/house')].sort(), ['fifo', 'link']);
});

test('a place is that of one name in a directory', async (context) => {
  const fileSystem = await emptyTree(context);
  const { root } = fileSystem.stack;
  fileSystem.close(fileSystem.open('/file', O_CREAT | O_RDWR, 0o644));
  const { inode, last, hasTrailingSlash } = at(fileSystem, root, 'file');
  assert.deepEqual([inode?.ino, last, hasTrailingSlash], [fileSystem.stat('/file', true).ino, 'name', false]);
  assert.equal(at(fileSystem, root, 'other').inode, undefined);
  assert.equal(at(fileSystem, root, 'x'.repeat(255)).inode, undefined);
  assert.throws(() => at(fileSystem, root, 'x'.repeat(256)), { code: 'ENAMETOOLONG' });
  assert.throws(() => at(fileSystem, inode!, 'x'), { code: 'ENOTDIR' });
  for (const name of ['', '.', '..', 'a/b', '/'])
    assert.throws(() => at(fileSystem, root, name), { code: 'EINVAL' });
});

test('looking a name up needs search permission', async (context) => {
  const fileSystem = await emptyTree(context);
  fileSystem.makeDirectory('/closed', 0o700);
  const closed = at(fileSystem, fileSystem.stack.root, 'closed').inode!;
  fileSystem.chown('/closed', 1, 1, true);
  fileSystem.credentials = { uid: 1000, gid: 1000, groups: [] };
  assert.throws(() => at(fileSystem, closed, 'x'), { code: 'EACCES' });
});

test('a name that exists is not made again', async (context) => {
  const fileSystem = await emptyTree(context);
  fileSystem.makeDirectory('/taken', 0o755);
  const taken = at(fileSystem, fileSystem.stack.root, 'taken');
  const tree = fileSystem.context;
  const file = fileSystem.open('/file', O_CREAT | O_RDWR, 0o644);
  const attempts: (() => unknown)[] = [
    () => namespace.makeDirectoryAt(tree, taken, 0o755),
    () => namespace.makeNodeAt(tree, taken, S_IFIFO | 0o600, 0),
    () => namespace.symlinkAt(tree, taken, 'x'),
    () => namespace.linkAt(tree, file.inode, taken),
    () => namespace.createAt(tree, taken, constants.S_IFREG | 0o644),
    () => opening.openAt(tree, taken, O_CREAT | O_EXCL | O_RDWR, 0o644, 'taken'),
  ];
  for (const attempt of attempts) assert.throws(attempt, { code: 'EEXIST' });
  fileSystem.close(file);
});

test('nothing is added to a directory that was removed while somebody held it', async (context) => {
  const fileSystem = await emptyTree(context);
  fileSystem.makeDirectory('/gone', 0o755);
  fileSystem.makeDirectory('/moved', 0o755);
  const file = fileSystem.open('/file', O_CREAT | O_RDWR, 0o644);
  const held = fileSystem.open('/gone', constants.O_RDONLY, 0);
  fileSystem.removeDirectory('/gone');
  const tree = fileSystem.context;
  const place = at(fileSystem, held.inode, 'new');
  const attempts: (() => unknown)[] = [
    () => namespace.makeDirectoryAt(tree, place, 0o755),
    () => namespace.makeNodeAt(tree, place, S_IFIFO | 0o600, 0),
    () => namespace.symlinkAt(tree, place, 'x'),
    () => namespace.linkAt(tree, file.inode, place),
    () => namespace.renameAt(tree, at(fileSystem, fileSystem.stack.root, 'moved'), place, 0),
    () => opening.openAt(tree, place, O_CREAT | O_RDWR, 0o644, 'new'),
  ];
  for (const attempt of attempts) assert.throws(attempt, { code: 'ENOENT' });
  fileSystem.close(file);
  fileSystem.close(held);
});
