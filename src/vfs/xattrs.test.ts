/** Extended attributes of a tree, tested by the same table as ext4 and mounts. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { actAs, setUmask } from '../../testing/stores/act-as.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { tryXattrNames, tryXattrsAsStranger, type XattrCalls } from '../../testing/trees/xattr-table.ts';
import { S_IFCHR, S_IFIFO, S_IFREG } from '../base/index.ts';
import type { FileSystem } from './file-system.ts';

const STRANGER = { uid: 1000, gid: 1000, groups: [1000] };

/** An empty tree, and the calls for its extended attributes. */
async function emptyTree(context: TestContext): Promise<[FileSystem, XattrCalls]> {
  const engine = await scratchStore(context);
  const { fileSystem } = engine.createEmpty('tree');
  setUmask(fileSystem, 0);
  const calls: XattrCalls = {
    get: (path, name) => fileSystem.getXattr(path, name, false).toString(),
    set: (path, name, value) => fileSystem.setXattr(path, name, Buffer.from(value), 0, false),
    remove: (path, name) => fileSystem.removeXattr(path, name, false),
  };
  return [fileSystem, calls];
}

function makeFile(fileSystem: FileSystem, path: string, mode: number): void {
  fileSystem.makeNode(path, S_IFREG | mode, 0);
}

test('every kind of file takes the names that ext4 takes', async (context) => {
  const [fileSystem, calls] = await emptyTree(context);
  makeFile(fileSystem, '/file', 0o644);
  fileSystem.makeDirectory('/directory', 0o755);
  fileSystem.symlink('file', '/symlink');
  fileSystem.makeNode('/fifo', S_IFIFO | 0o644, 0);
  fileSystem.makeNode('/device', S_IFCHR | 0o644, 0x103);
  tryXattrNames(calls, ['/file', '/directory', '/'], ['/symlink', '/fifo', '/device']);
  for (const name of ['system.posix_acl_access', 'system.posix_acl_default'])
    assert.throws(() => calls.get('/symlink', name), { code: 'ENOTSUP' });
});

test('a user without privileges sets attributes of writable files, and does not see trusted.', async (context) => {
  const [fileSystem, calls] = await emptyTree(context);
  makeFile(fileSystem, '/writable', 0o666);
  makeFile(fileSystem, '/readable', 0o644);
  makeFile(fileSystem, '/closed', 0o600);
  fileSystem.makeDirectory('/sticky', 0o1777);
  for (const name of ['trusted.hidden', 'security.shown', 'user.shown']) calls.set('/closed', name, 'value');
  actAs(fileSystem, STRANGER);
  const [writable, readable, closed, sticky] = ['/writable', '/readable', '/closed', '/sticky'] as const;
  tryXattrsAsStranger(calls, { writable, readable, closed, sticky });
  assert.deepEqual(fileSystem.listXattrs('/closed', false).sort(), ['security.shown', 'user.shown']);
  actAs(fileSystem, { ...STRANGER, uid: 0 });
  assert.equal(fileSystem.listXattrs('/closed', false).length, 3);
});

test('without credentials everything is listed', async (context) => {
  const [fileSystem, calls] = await emptyTree(context);
  makeFile(fileSystem, '/file', 0o600);
  for (const name of ['trusted.a', 'user.a']) calls.set('/file', name, 'value');
  assert.deepEqual(fileSystem.listXattrs('/file', false).sort(), ['trusted.a', 'user.a']);
});

test('attributes that an older version stored under other names are neither listed nor read', async (context) => {
  const [fileSystem, calls] = await emptyTree(context);
  makeFile(fileSystem, '/file', 0o600);
  fileSystem.symlink('file', '/symlink');
  const { stack } = fileSystem;
  const stored = ['system.nfs4_acl', 'com.apple.quarantine', 'user.', 'trusted.a', 'user.a'];
  for (const path of ['/file', '/symlink']) {
    const inode = stack.inode(fileSystem.stat(path, false).ino as Parameters<typeof stack.inode>[0]);
    stack.change((batch) => {
      batch.setXattrs(inode, new Map(stored.map((name) => [name, Buffer.from('value')])));
    });
  }
  assert.deepEqual(fileSystem.listXattrs('/file', false), ['trusted.a', 'user.a']);
  assert.deepEqual(fileSystem.listXattrs('/symlink', false), ['trusted.a']);
  for (const name of fileSystem.listXattrs('/symlink', false))
    assert.equal(calls.get('/symlink', name), 'value');
  assert.throws(() => calls.get('/file', 'system.nfs4_acl'), { code: 'ENOTSUP' });
});
