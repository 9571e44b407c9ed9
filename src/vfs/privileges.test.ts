/** Privileges that a file loses when it changes: set-user-ID, set-group-ID and capabilities. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { actAs, setUmask } from '../../testing/stores/act-as.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import * as attributes from './attributes.ts';
import type { Credentials } from './caller.ts';
import type { FileSystem } from './file-system.ts';
import type { OpenFile } from './open-file.ts';

const { O_CREAT, O_RDWR, O_TRUNC, O_WRONLY } = constants;
const CAPABILITY = 'security.capability';
const bob = { uid: 1001, gid: 1001, groups: [] };
const superuser = { uid: 0, gid: 0, groups: [] };

interface Subject {
  readonly fileSystem: FileSystem;
  readonly file: OpenFile;
}

/** /file, of 8 KiB and open, gets mode 6777 and capabilities by `privileged`; /plain has bytes to clone. */
async function subject(context: TestContext): Promise<Subject> {
  const { fileSystem } = (await scratchStore(context)).createEmpty('work');
  setUmask(fileSystem, 0);
  for (const path of ['/file', '/plain']) {
    const file = fileSystem.open(path, O_CREAT | O_WRONLY, 0o777);
    fileSystem.write(file, Buffer.alloc(8192, 'x'), 0, 8192, 0);
    fileSystem.close(file);
  }
  return { fileSystem, file: fileSystem.open('/file', O_RDWR, 0) };
}

function privileged({ fileSystem, file }: Subject): void {
  actAs(fileSystem, undefined);
  attributes.changeMode(fileSystem.context, fileSystem.caller, file.inode, 0o6777);
  fileSystem.setXattr('/file', CAPABILITY, Buffer.from('cap'), 0, false);
  fileSystem.setXattr('/file', 'user.kept', Buffer.from('kept'), 0, false);
}

/** The mode, and the names of the remaining attributes. */
function left({ fileSystem }: Subject): string {
  const names = fileSystem.listXattrs('/file', false).join(' ');
  return `${(fileSystem.stat('/file', false).mode & 0o7777).toString(8)} ${names}`;
}

/** Every way to change the bytes of a file. */
const CHANGES: readonly [string, (subject: Subject) => void][] = [
  ['write', ({ fileSystem, file }) => fileSystem.write(file, Buffer.from('y'), 0, 1, 0)],
  ['ftruncate', ({ fileSystem, file }) => fileSystem.truncateFile(file, 5000)],
  ['truncate', ({ fileSystem: { byInode, caller }, file }) => byInode.setSize(caller, file.inode, 9000)],
  ['fallocate', ({ fileSystem, file }) => fileSystem.allocate(file, 0, 9000, false)],
  ['punch', ({ fileSystem, file }) => fileSystem.punch(file, 0, 4096)],
];

/** From now on calls clear set-user-ID, as they do when the kernel asks for that. */
function clearSetId(fileSystem: FileSystem): void {
  fileSystem.caller = { ...fileSystem.caller, clearsSetId: true };
}

for (const [name, change] of CHANGES) {
  test(`${name} removes capabilities, and set-user-ID if the caller may not keep it`, async (context) => {
    const one = await subject(context);
    const { journal } = one.fileSystem.stack.upper!;
    const after = (credentials: Credentials | undefined, clears: boolean) => {
      privileged(one);
      actAs(one.fileSystem, credentials);
      const before = journal.recordCount;
      if (clears) clearSetId(one.fileSystem);
      change(one);
      assert.equal(journal.recordCount, before + 1);
      actAs(one.fileSystem, undefined);
      return left(one);
    };
    assert.equal(after(undefined, false), '6777 user.kept');
    assert.equal(after(superuser, false), '6777 user.kept');
    assert.equal(after(undefined, true), '777 user.kept');
    assert.equal(after(bob, false), '777 user.kept');
    one.fileSystem.close(one.file);
  });
}

test('reflinks, truncate and O_TRUNC do the same', async (context) => {
  const one = await subject(context);
  const { fileSystem, file } = one;
  const source = fileSystem.open('/plain', O_RDWR, 0);
  for (const change of [
    () => fileSystem.reflink(source, file),
    () => fileSystem.reflinkRange(source, 0, 4096, file, 4096),
    () => fileSystem.close(fileSystem.open('/file', O_WRONLY | O_TRUNC, 0)),
    () => fileSystem.truncate('/file', 10),
  ]) {
    privileged(one);
    actAs(fileSystem, bob);
    change();
    actAs(fileSystem, undefined);
    assert.equal(left(one), '777 user.kept', String(change));
  }
  fileSystem.close(source);
  fileSystem.close(file);
});

test('chown removes all of them, even by the superuser', async (context) => {
  const one = await subject(context);
  privileged(one);
  one.fileSystem.chown('/file', 1000, 1000, true);
  assert.equal(left(one), '777 user.kept');
  privileged(one);
  one.fileSystem.chownFile(one.file, -1, -1);
  assert.equal(left(one), '777 user.kept');
  one.fileSystem.close(one.file);
});

test('set-group-ID without the group’s execute bit is no privilege and stays', async (context) => {
  const one = await subject(context);
  privileged(one);
  one.fileSystem.chmod('/file', 0o6767, true);
  clearSetId(one.fileSystem);
  one.fileSystem.write(one.file, Buffer.from('y'), 0, 1, 0);
  assert.equal(left(one), '2767 user.kept');
  one.fileSystem.close(one.file);
});

test('a write of 0 bytes changes nothing', async (context) => {
  const one = await subject(context);
  privileged(one);
  clearSetId(one.fileSystem);
  one.fileSystem.write(one.file, Buffer.alloc(0), 0, 0, 0);
  assert.equal(left(one), `6777 ${CAPABILITY} user.kept`);
  one.fileSystem.close(one.file);
});

test('a chown of a directory keeps its set-group-ID bit', async (context) => {
  const { fileSystem } = await subject(context);
  fileSystem.makeDirectory('/directory', 0o755);
  fileSystem.chmod('/directory', 0o2775, true);
  fileSystem.chown('/directory', 1000, 1000, true);
  assert.equal(fileSystem.stat('/directory', true).mode & 0o7777, 0o2775);
});
