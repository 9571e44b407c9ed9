/** Operations on places that were looked up one name at a time, as a mount does. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { actAs } from '../../testing/stores/act-as.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { type Name, S_IFIFO } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { FileSystem } from './file-system.ts';
import * as namespace from './namespace.ts';
import { RENAME_EXCHANGE } from './namespace.ts';
import { type Place, placeIn } from './path-walk.ts';

const { O_CREAT, O_RDWR } = constants;

async function emptyTree(context: TestContext): Promise<FileSystem> {
  return (await scratchStore(context)).createEmpty('work').fileSystem;
}

function at(fileSystem: FileSystem, directory: Inode, name: string): Place {
  return placeIn(fileSystem.context, fileSystem.caller, directory, name as Name);
}

test('every operation works on places that were looked up one name at a time', async (context) => {
  const fileSystem = await emptyTree(context);
  const { root } = fileSystem.stack;
  const { context: tree, caller } = fileSystem;
  const house = namespace.makeDirectory(tree, caller, at(fileSystem, root, 'house'), 0o755);
  const inHouse = (name: string) => at(fileSystem, house, name);
  namespace.create(tree, caller, inHouse('file'), constants.S_IFREG | 0o644);
  namespace.makeNode(tree, caller, inHouse('fifo'), S_IFIFO | 0o600, 0);
  namespace.symlink(tree, caller, inHouse('link'), 'file');
  const { inode } = inHouse('file');
  assert.ok(inode !== undefined);
  namespace.link(tree, caller, inode, inHouse('second'));
  assert.equal(fileSystem.stat('/house/second', true).nlink, 2);
  namespace.unlink(tree, caller, inHouse('file'));
  namespace.makeDirectory(tree, caller, inHouse('inner'), 0o755);
  namespace.rename(tree, caller, inHouse('second'), at(fileSystem, root, 'third'), 0);
  namespace.rename(tree, caller, inHouse('fifo'), inHouse('link'), RENAME_EXCHANGE);
  namespace.removeDirectory(tree, caller, inHouse('inner'));
  assert.equal(fileSystem.stat('/third', true).ino, inode.ino);
  assert.equal(fileSystem.readLink('/house/fifo'), 'file');
  assert.deepEqual([...fileSystem.readDirectoryNames('/house')].sort(), ['fifo', 'link']);
});

test('a place is one name in a directory', async (context) => {
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

test('looking up a name needs search permission', async (context) => {
  const fileSystem = await emptyTree(context);
  fileSystem.makeDirectory('/closed', 0o700);
  const closed = at(fileSystem, fileSystem.stack.root, 'closed').inode!;
  fileSystem.chown('/closed', 1, 1, true);
  actAs(fileSystem, { uid: 1000, gid: 1000, groups: [] });
  assert.throws(() => at(fileSystem, closed, 'x'), { code: 'EACCES' });
});

test('a name that exists gives EEXIST', async (context) => {
  const fileSystem = await emptyTree(context);
  fileSystem.makeDirectory('/taken', 0o755);
  const taken = at(fileSystem, fileSystem.stack.root, 'taken');
  const { context: tree, caller } = fileSystem;
  const file = fileSystem.open('/file', O_CREAT | O_RDWR, 0o644);
  const attempts: (() => unknown)[] = [
    () => namespace.makeDirectory(tree, caller, taken, 0o755),
    () => namespace.makeNode(tree, caller, taken, S_IFIFO | 0o600, 0),
    () => namespace.symlink(tree, caller, taken, 'x'),
    () => namespace.link(tree, caller, file.inode, taken),
    () => namespace.create(tree, caller, taken, constants.S_IFREG | 0o644),
  ];
  for (const attempt of attempts) assert.throws(attempt, { code: 'EEXIST' });
  fileSystem.close(file);
});

test('nothing is added to a directory that was removed while it was open', async (context) => {
  const fileSystem = await emptyTree(context);
  fileSystem.makeDirectory('/gone', 0o755);
  fileSystem.makeDirectory('/moved', 0o755);
  const file = fileSystem.open('/file', O_CREAT | O_RDWR, 0o644);
  const held = fileSystem.open('/gone', constants.O_RDONLY, 0);
  fileSystem.removeDirectory('/gone');
  const { context: tree, caller } = fileSystem;
  const place = at(fileSystem, held.inode, 'new');
  const attempts: (() => unknown)[] = [
    () => namespace.makeDirectory(tree, caller, place, 0o755),
    () => namespace.makeNode(tree, caller, place, S_IFIFO | 0o600, 0),
    () => namespace.symlink(tree, caller, place, 'x'),
    () => namespace.create(tree, caller, place, constants.S_IFREG | 0o644),
    () => namespace.link(tree, caller, file.inode, place),
    () => namespace.rename(tree, caller, at(fileSystem, fileSystem.stack.root, 'moved'), place, 0),
  ];
  for (const attempt of attempts) assert.throws(attempt, { code: 'ENOENT' });
  fileSystem.close(file);
  fileSystem.close(held);
});
