/** Permission checks of callers with credentials. Without credentials everything is allowed. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { actAs, setUmask } from '../../testing/stores/act-as.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import type { FileSystem } from './file-system.ts';

const { O_CREAT, O_RDONLY, O_RDWR, O_WRONLY } = constants;
const alice = { uid: 1000, gid: 1000, groups: [2000] };
const bob = { uid: 1001, gid: 1001, groups: [] };

/** A tree that alice owns: /house (0755), /house/private (0600), /house/team (0640, group 2000), /tmp (1777). */
async function tree(context: TestContext): Promise<FileSystem> {
  const { fileSystem } = (await scratchStore(context)).createEmpty('work');
  setUmask(fileSystem, 0o022);
  fileSystem.makeDirectory('/tmp', 0o777);
  fileSystem.chmod('/tmp', 0o1777, true);
  fileSystem.makeDirectory('/house', 0o755);
  fileSystem.chown('/house', 1000, 1000, true);
  actAs(fileSystem, alice);
  for (const [path, mode] of [
    ['/house/private', 0o600],
    ['/house/team', 0o640],
  ] as const) {
    fileSystem.close(fileSystem.open(path, O_CREAT | O_WRONLY, mode));
  }
  fileSystem.chown('/house/team', -1, 2000, true);
  return fileSystem;
}

test('owner, group and others are told apart', async (context) => {
  const fileSystem = await tree(context);
  fileSystem.close(fileSystem.open('/house/private', O_RDWR, 0));
  actAs(fileSystem, bob);
  assert.throws(() => fileSystem.open('/house/private', O_RDONLY, 0), { code: 'EACCES' });
  actAs(fileSystem, { uid: 1002, gid: 1002, groups: [2000] });
  fileSystem.close(fileSystem.open('/house/team', O_RDONLY, 0));
  assert.throws(() => fileSystem.open('/house/team', O_RDWR, 0), { code: 'EACCES' });
  actAs(fileSystem, { uid: 0, gid: 0, groups: [] });
  fileSystem.close(fileSystem.open('/house/private', O_RDWR, 0));
  assert.throws(() => fileSystem.access('/house/private', 1), { code: 'EACCES' });
});

test('changing names needs write permission on the directory, and search permission on the way', async (context) => {
  const fileSystem = await tree(context);
  actAs(fileSystem, bob);
  const refused: (() => unknown)[] = [
    () => fileSystem.open('/house/new', O_CREAT | O_WRONLY, 0o644),
    () => fileSystem.makeDirectory('/house/new', 0o755),
    () => fileSystem.unlink('/house/private'),
    () => fileSystem.rename('/house/private', '/tmp/mine'),
    () => fileSystem.link('/house/team', '/house/team2', true),
    () => fileSystem.symlink('x', '/house/link'),
  ];
  for (const attempt of refused) assert.throws(attempt, { code: 'EACCES' });
  actAs(fileSystem, alice);
  fileSystem.chmod('/house', 0o700, true);
  actAs(fileSystem, bob);
  assert.throws(() => fileSystem.stat('/house/team', true), { code: 'EACCES' });
  assert.throws(() => fileSystem.readDirectory('/house'), { code: 'EACCES' });
});

test('a sticky directory keeps users from removing files of others', async (context) => {
  const fileSystem = await tree(context);
  fileSystem.close(fileSystem.open('/tmp/alice', O_CREAT | O_WRONLY, 0o666));
  actAs(fileSystem, bob);
  assert.throws(() => fileSystem.unlink('/tmp/alice'), { code: 'EPERM' });
  assert.throws(() => fileSystem.rename('/tmp/alice', '/tmp/bob'), { code: 'EPERM' });
  actAs(fileSystem, alice);
  fileSystem.unlink('/tmp/alice');
});

test('only the owner changes mode and times; only the superuser gives files away', async (context) => {
  const fileSystem = await tree(context);
  assert.throws(() => fileSystem.chown('/house/team', 1001, -1, true), { code: 'EPERM' });
  assert.throws(() => fileSystem.chown('/house/team', -1, 3000, true), { code: 'EPERM' });
  fileSystem.chown('/house/team', -1, 1000, true);
  actAs(fileSystem, bob);
  assert.throws(() => fileSystem.chmod('/house/team', 0o666, true), { code: 'EPERM' });
  assert.throws(() => fileSystem.setTimes('/house/team', { seconds: 1, nanoseconds: 0 }, 'omit', true), {
    code: 'EPERM',
  });
  assert.throws(() => fileSystem.setTimes('/house/team', 'now', 'now', true), { code: 'EACCES' });
});

test('a write by another user clears set-user-ID; a setgid directory passes on its group', async (context) => {
  const fileSystem = await tree(context);
  fileSystem.chmod('/house/team', 0o6777, true);
  actAs(fileSystem, bob);
  const file = fileSystem.open('/house/team', O_RDWR, 0);
  fileSystem.write(file, Buffer.from('x'), 0, 1, 0);
  assert.equal(fileSystem.stat('/house/team', true).mode & 0o7777, 0o777);
  actAs(fileSystem, alice);
  fileSystem.makeDirectory('/house/shared', 0o777);
  fileSystem.chown('/house/shared', -1, 2000, true);
  fileSystem.chmod('/house/shared', 0o2775, true);
  fileSystem.makeDirectory('/house/shared/inner', 0o755);
  const inner = fileSystem.stat('/house/shared/inner', true);
  assert.deepEqual([inner.gid, inner.mode & 0o7777], [2000, 0o2755]);
});

test('the umask applies to new files and directories, not to symlinks', async (context) => {
  const fileSystem = await tree(context);
  setUmask(fileSystem, 0o077);
  fileSystem.close(fileSystem.open('/house/new', O_CREAT | O_WRONLY, 0o666));
  fileSystem.makeDirectory('/house/newdir', 0o777);
  fileSystem.symlink('new', '/house/link');
  const modes = ['/house/new', '/house/newdir', '/house/link'].map(
    (path) => fileSystem.stat(path, false).mode & 0o777,
  );
  assert.deepEqual(modes, [0o600, 0o700, 0o777]);
});
