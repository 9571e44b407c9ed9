/** ACLs of a tree: how they are set, changed by chmod, inherited by new inodes, and checked. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { actAs, setUmask } from '../../testing/stores/act-as.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { SharedStore } from '../../testing/stores/shared-store.ts';
import { aclFromText, aclToText } from '../../testing/trees/acl-text.ts';
import { isFsError, S_IFIFO } from '../base/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { O_TMPFILE } from '../sys/index.ts';
import { checkStore } from '../upkeep/index.ts';
import type { Credentials } from './caller.ts';
import type { FileSystem } from './file-system.ts';
import { R_OK, W_OK } from './permission.ts';
import { ACCESS_ACL, DEFAULT_ACL } from './xattr-names.ts';
import { getXattr, setXattr, XATTR_CREATE, XATTR_REPLACE } from './xattrs.ts';

const { O_CREAT, O_EXCL, O_RDWR, O_WRONLY } = constants;
const BOB = 'u::rwx,u:1001:rw-,g::r--,m::rw-,o::---';
const alice = { uid: 1000, gid: 1000, groups: [] };
const bob = { uid: 1001, gid: 1001, groups: [] };
const carol = { uid: 1002, gid: 1002, groups: [2000] };

async function emptyTree(context: TestContext): Promise<{ engine: StoreEngine; fileSystem: FileSystem }> {
  const engine = await scratchStore(context);
  const { fileSystem } = engine.createEmpty('work');
  setUmask(fileSystem, 0o022);
  return { engine, fileSystem };
}

function touch(fileSystem: FileSystem, path: string, mode = 0o666): void {
  fileSystem.close(fileSystem.open(path, O_CREAT | O_EXCL | O_WRONLY, mode));
}

function setAcl(fileSystem: FileSystem, path: string, name: string, text: string): void {
  fileSystem.setXattr(path, name, aclFromText(text), 0, false);
}

/** The ACL as text; 'none' where there is none. */
function aclAt(fileSystem: FileSystem, path: string, name: string = ACCESS_ACL): string {
  try {
    return aclToText(fileSystem.getXattr(path, name, false));
  } catch (error) {
    if (isFsError(error, 'ENODATA')) return 'none';
    throw error;
  }
}

function modeAt(fileSystem: FileSystem, path: string): string {
  return (fileSystem.stat(path, false).mode & 0o7777).toString(8);
}

test('setting an access ACL changes the mode, and chmod changes the ACL', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o600);
  setAcl(fileSystem, '/file', ACCESS_ACL, BOB);
  assert.equal(modeAt(fileSystem, '/file'), '760');
  fileSystem.chmod('/file', 0o4641, true);
  assert.equal(modeAt(fileSystem, '/file'), '4641');
  assert.equal(aclAt(fileSystem, '/file'), 'u::rw-,u:1001:rw-,g::r--,m::r--,o::--x');
  setAcl(fileSystem, '/file', ACCESS_ACL, 'u::r--,g::-w-,m::r-x,o::---');
  assert.equal(modeAt(fileSystem, '/file'), '4450');
  assert.equal(aclAt(fileSystem, '/file'), 'u::r--,g::-w-,m::r-x,o::---');
});

test('an access ACL that a mode can express is not stored', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o600);
  setAcl(fileSystem, '/file', ACCESS_ACL, 'u::rwx,g::r-x,o::r--');
  assert.deepEqual(fileSystem.listXattrs('/file', false), []);
  assert.equal(modeAt(fileSystem, '/file'), '754');
  setAcl(fileSystem, '/file', ACCESS_ACL, BOB);
  setAcl(fileSystem, '/file', ACCESS_ACL, 'u::rw-,g::r--,o::r--');
  assert.deepEqual(fileSystem.listXattrs('/file', false), []);
  assert.equal(modeAt(fileSystem, '/file'), '644');
});

test('removing an access ACL leaves the mode; setting one without entries removes it', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o600);
  const removals = [
    () => fileSystem.removeXattr('/file', ACCESS_ACL, false),
    () => fileSystem.setXattr('/file', ACCESS_ACL, Buffer.from('02000000', 'hex'), 0, false),
    () => fileSystem.setXattr('/file', ACCESS_ACL, Buffer.alloc(0), 0, false),
  ];
  for (const remove of removals) {
    setAcl(fileSystem, '/file', ACCESS_ACL, BOB);
    remove();
    assert.deepEqual([aclAt(fileSystem, '/file'), modeAt(fileSystem, '/file')], ['none', '760']);
    const before = fileSystem.stat('/file', false);
    remove();
    assert.deepEqual(fileSystem.stat('/file', false), before);
  }
});

test('the flags of setxattr are ignored for ACLs, as on Linux', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o600);
  fileSystem.setXattr('/file', ACCESS_ACL, aclFromText(BOB), XATTR_REPLACE, false);
  fileSystem.setXattr('/file', ACCESS_ACL, aclFromText(BOB), XATTR_CREATE, false);
  assert.equal(aclAt(fileSystem, '/file'), BOB);
});

test('the ACL is stored, not the bytes that were given', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o600);
  const given = aclFromText(BOB);
  given.writeUInt32LE(7, 8);
  fileSystem.setXattr('/file', ACCESS_ACL, given, 0, false);
  assert.deepEqual(fileSystem.getXattr('/file', ACCESS_ACL, false), aclFromText(BOB));
});

test('ACLs that cannot be set change nothing', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o640);
  fileSystem.makeDirectory('/directory', 0o750);
  fileSystem.symlink('file', '/link');
  const noMask = 'u::rwx,u:1001:rw-,g::r--,o::---';
  const refused: [string, () => void][] = [
    ['EINVAL', () => setAcl(fileSystem, '/file', ACCESS_ACL, noMask)],
    ['EINVAL', () => setAcl(fileSystem, '/directory', DEFAULT_ACL, noMask)],
    ['EINVAL', () => setAcl(fileSystem, '/file', ACCESS_ACL, 'u::rwx,o::---')],
    ['EINVAL', () => fileSystem.setXattr('/file', ACCESS_ACL, Buffer.from([2]), 0, false)],
    ['ENOTSUP', () => fileSystem.setXattr('/file', ACCESS_ACL, Buffer.from('03000000', 'hex'), 0, false)],
    ['E2BIG', () => fileSystem.setXattr('/file', ACCESS_ACL, Buffer.alloc(65_540), 0, false)],
    ['EACCES', () => setAcl(fileSystem, '/file', DEFAULT_ACL, BOB)],
    ['ENOTSUP', () => setAcl(fileSystem, '/link', ACCESS_ACL, BOB)],
    ['ENOTSUP', () => fileSystem.getXattr('/link', ACCESS_ACL, false)],
    ['ENOTSUP', () => fileSystem.removeXattr('/link', DEFAULT_ACL, false)],
    ['ENODATA', () => fileSystem.getXattr('/file', DEFAULT_ACL, false)],
  ];
  const paths = ['/file', '/directory', '/link'];
  const before = paths.map((path) => fileSystem.stat(path, false));
  for (const [code, attempt] of refused) assert.throws(attempt, { code }, String(attempt));
  fileSystem.removeXattr('/file', DEFAULT_ACL, false);
  assert.deepEqual(
    paths.map((path) => fileSystem.stat(path, false)),
    before,
  );
  assert.deepEqual(
    paths.flatMap((path) => fileSystem.listXattrs(path, false)),
    [],
  );
});

test('only the owner sets and removes ACLs: others get EPERM', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o666);
  fileSystem.makeDirectory('/directory', 0o777);
  setAcl(fileSystem, '/file', ACCESS_ACL, BOB);
  actAs(fileSystem, bob);
  const refused = [
    () => setAcl(fileSystem, '/file', ACCESS_ACL, BOB),
    () => fileSystem.removeXattr('/file', ACCESS_ACL, false),
    () => setAcl(fileSystem, '/directory', DEFAULT_ACL, BOB),
  ];
  for (const attempt of refused) assert.throws(attempt, { code: 'EPERM' });
});

test('setting an access ACL clears set-group-ID if the file’s group is not the caller’s', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file');
  fileSystem.chown('/file', 1000, 2000, true);
  const setAs = (who: Credentials | undefined) => {
    actAs(fileSystem, undefined);
    fileSystem.chmod('/file', 0o2770, true);
    actAs(fileSystem, who);
    setAcl(fileSystem, '/file', ACCESS_ACL, BOB);
    return modeAt(fileSystem, '/file');
  };
  assert.equal(setAs(undefined), '2760');
  assert.equal(setAs(alice), '760');
  assert.equal(setAs({ ...alice, groups: [2000] }), '2760');
  actAs(fileSystem, undefined);
  const file = fileSystem.open('/file', O_RDWR, 0);
  const clearing = { ...fileSystem.caller, clearsSetId: true };
  setXattr(fileSystem.context, clearing, file.inode, ACCESS_ACL, aclFromText(BOB), 0);
  fileSystem.close(file);
  assert.equal(modeAt(fileSystem, '/file'), '760');
});

test('a new inode gets the default ACL of its directory instead of the umask', async (context) => {
  const { fileSystem } = await emptyTree(context);
  const given = 'u::rwx,u:1001:rwx,g::r-x,m::rwx,o::r-x';
  setUmask(fileSystem, 0o077);
  fileSystem.makeDirectory('/top', 0o755);
  setAcl(fileSystem, '/top', DEFAULT_ACL, given);
  touch(fileSystem, '/top/file', 0o664);
  fileSystem.makeDirectory('/top/inner', 0o1750);
  fileSystem.makeNode('/top/fifo', S_IFIFO | 0o640, 0);
  fileSystem.symlink('file', '/top/link');
  const unnamed = fileSystem.open('/top', O_TMPFILE | O_RDWR, 0o606);
  fileSystem.makeDirectory('/plain', 0o777);
  assert.deepEqual(
    [
      [modeAt(fileSystem, '/top/file'), aclAt(fileSystem, '/top/file')],
      [modeAt(fileSystem, '/top/inner'), aclAt(fileSystem, '/top/inner')],
      [modeAt(fileSystem, '/top/fifo'), aclAt(fileSystem, '/top/fifo')],
      [
        (fileSystem.statFile(unnamed).mode & 0o7777).toString(8),
        aclToText(getXattr(fileSystem.context, fileSystem.caller, unnamed.inode, ACCESS_ACL)),
      ],
      [modeAt(fileSystem, '/plain'), aclAt(fileSystem, '/plain')],
    ],
    [
      ['664', 'u::rw-,u:1001:rwx,g::r-x,m::rw-,o::r--'],
      ['1750', 'u::rwx,u:1001:rwx,g::r-x,m::r-x,o::---'],
      ['640', 'u::rw-,u:1001:rwx,g::r-x,m::r--,o::---'],
      ['604', 'u::rw-,u:1001:rwx,g::r-x,m::---,o::r--'],
      ['700', 'none'],
    ],
  );
  assert.equal(aclAt(fileSystem, '/top/inner', DEFAULT_ACL), given);
  assert.deepEqual(fileSystem.listXattrs('/top/link', false), []);
  assert.equal(modeAt(fileSystem, '/top/link'), '777');
  assert.equal(aclAt(fileSystem, '/top/file', DEFAULT_ACL), 'none');
  fileSystem.close(unnamed);
});

test('a default ACL that a mode can express is stored, and its new inodes get none', async (context) => {
  const { fileSystem } = await emptyTree(context);
  setUmask(fileSystem, 0o077);
  fileSystem.makeDirectory('/top', 0o2755);
  fileSystem.chmod('/top', 0o2755, true);
  setAcl(fileSystem, '/top', DEFAULT_ACL, 'u::rwx,g::rwx,o::r-x');
  touch(fileSystem, '/top/file', 0o666);
  fileSystem.makeDirectory('/top/inner', 0o777);
  assert.deepEqual([modeAt(fileSystem, '/top/file'), aclAt(fileSystem, '/top/file')], ['664', 'none']);
  assert.deepEqual([modeAt(fileSystem, '/top/inner'), aclAt(fileSystem, '/top/inner')], ['2775', 'none']);
  assert.equal(aclAt(fileSystem, '/top/inner', DEFAULT_ACL), 'u::rwx,g::rwx,o::r-x');
  fileSystem.removeXattr('/top', DEFAULT_ACL, false);
  touch(fileSystem, '/top/later', 0o666);
  assert.equal(modeAt(fileSystem, '/top/later'), '600');
});

test('making an inode with ACLs is one record of the journal', async (context) => {
  const { fileSystem } = await emptyTree(context);
  fileSystem.makeDirectory('/top', 0o755);
  setAcl(fileSystem, '/top', DEFAULT_ACL, BOB);
  setAcl(fileSystem, '/top', ACCESS_ACL, BOB);
  const { journal } = fileSystem.stack.upper!;
  const operations: (() => void)[] = [
    () => touch(fileSystem, '/top/file'),
    () => fileSystem.makeDirectory('/top/inner', 0o777),
    () => fileSystem.makeNode('/top/fifo', S_IFIFO | 0o666, 0),
    () => fileSystem.chmod('/top/file', 0o600, true),
    () => setAcl(fileSystem, '/top/file', ACCESS_ACL, BOB),
    () => setAcl(fileSystem, '/top/file', ACCESS_ACL, 'u::r--,g::---,o::---'),
    () => setAcl(fileSystem, '/top/inner', DEFAULT_ACL, BOB),
  ];
  for (const operate of operations) {
    const before = journal.recordCount;
    operate();
    assert.equal(journal.recordCount, before + 1, String(operate));
  }
});

test('ACLs of a lower layer hold in a fork, and change only there', async (context) => {
  const { engine, fileSystem } = await emptyTree(context);
  fileSystem.makeDirectory('/top', 0o755);
  setAcl(fileSystem, '/top', DEFAULT_ACL, BOB);
  touch(fileSystem, '/top/file', 0o666);
  engine.snapshot('work', 'base');
  const fork = engine.fork('base', 'fork').fileSystem;
  touch(fork, '/top/new', 0o666);
  assert.equal(aclAt(fork, '/top/new'), 'u::rw-,u:1001:rw-,g::r--,m::rw-,o::---');
  fork.chmod('/top/file', 0o600, true);
  assert.equal(aclAt(fork, '/top/file'), 'u::rw-,u:1001:rw-,g::r--,m::---,o::---');
  assert.equal(aclAt(fileSystem, '/top/file'), 'u::rw-,u:1001:rw-,g::r--,m::rw-,o::---');
  assert.ok(checkStore(engine).isClean);
});

test('a process that dies loses no inherited ACL', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  const { fileSystem } = engine.createEmpty('work');
  fileSystem.makeDirectory('/top', 0o755);
  setAcl(fileSystem, '/top', DEFAULT_ACL, BOB);
  touch(fileSystem, '/top/file', 0o666);
  fileSystem.makeDirectory('/top/inner', 0o777);
  await scratch.crash(engine, system);
  const again = await scratch.open();
  const replayed = again.openTree('work').fileSystem;
  assert.deepEqual(
    [modeAt(replayed, '/top/file'), aclAt(replayed, '/top/file')],
    ['660', 'u::rw-,u:1001:rw-,g::r--,m::rw-,o::---'],
  );
  assert.equal(aclAt(replayed, '/top/inner', DEFAULT_ACL), BOB);
  touch(replayed, '/top/inner/file', 0o666);
  assert.equal(aclAt(replayed, '/top/inner/file'), 'u::rw-,u:1001:rw-,g::r--,m::rw-,o::---');
  assert.ok(checkStore(again).isClean);
});

test('an access ACL gives access to those it names, within its mask', async (context) => {
  const { fileSystem } = await emptyTree(context);
  touch(fileSystem, '/file', 0o600);
  const may = (who: Credentials | undefined, mask: number) => {
    actAs(fileSystem, who);
    try {
      fileSystem.access('/file', mask);
      return true;
    } catch (error) {
      if (isFsError(error, 'EACCES')) return false;
      throw error;
    } finally {
      actAs(fileSystem, undefined);
    }
  };
  const answers = () =>
    [bob, carol, alice].map((who) => [may(who, R_OK), may(who, W_OK)].map(Number).join(''));
  assert.deepEqual(answers(), ['00', '00', '00']);
  setAcl(fileSystem, '/file', ACCESS_ACL, 'u::---,u:1001:rw-,g::---,g:2000:r--,m::rw-,o::-w-');
  assert.deepEqual(answers(), ['11', '10', '01']);
  fileSystem.chmod('/file', 0o040, true);
  assert.deepEqual(answers(), ['10', '10', '00']);
  // The mode's group bits are the mask here, not the owning group's permissions.
  fileSystem.chown('/file', -1, 1000, true);
  assert.deepEqual(answers(), ['10', '10', '00']);
  fileSystem.chmod('/file', 0o007, true);
  assert.deepEqual(answers(), ['00', '00', '00']);
  fileSystem.chown('/file', 1000, -1, true);
  fileSystem.chmod('/file', 0o600, true);
  assert.deepEqual(answers(), ['00', '00', '11']);
});

test('a damaged ACL gives EIO wherever it matters, and can be replaced', async (context) => {
  const { fileSystem } = await emptyTree(context);
  fileSystem.makeDirectory('/top', 0o777);
  const top = fileSystem.open('/top', 0, 0);
  const damage = (name: string) => {
    const { stack } = fileSystem;
    stack.change((batch) => {
      batch.setXattrs(top.inode, new Map([[name, Buffer.from('0200000001000700ffffffff', 'hex')]]));
    });
  };
  damage(DEFAULT_ACL);
  assert.throws(() => touch(fileSystem, '/top/file'), { code: 'EIO' });
  fileSystem.symlink('x', '/top/link');
  damage(ACCESS_ACL);
  assert.throws(() => fileSystem.chmod('/top', 0o700, true), { code: 'EIO' });
  actAs(fileSystem, bob);
  assert.throws(() => fileSystem.readDirectory('/top'), { code: 'EIO' });
  actAs(fileSystem, undefined);
  setAcl(fileSystem, '/top', ACCESS_ACL, BOB);
  assert.equal(aclAt(fileSystem, '/top'), BOB);
  fileSystem.close(top);
});

test('trees without ACLs are never searched for them', async (context) => {
  const { engine, fileSystem } = await emptyTree(context);
  setUmask(fileSystem, 0);
  fileSystem.makeDirectory('/top', 0o777);
  touch(fileSystem, '/top/file', 0o666);
  engine.snapshot('work', 'base');
  const fork = engine.fork('base', 'fork').fileSystem;
  const reads = context.mock.method(fork.stack, 'xattrsOf');
  actAs(fork, alice);
  touch(fork, '/top/new', 0o666);
  fork.makeDirectory('/top/inner', 0o777);
  fork.chmod('/top/new', 0o600, true);
  fork.access('/top/new', R_OK);
  const file = fork.open('/top/new', O_RDWR, 0);
  fork.write(file, Buffer.from('x'), 0, 1, 0);
  fork.truncateFile(file, 0);
  fork.close(file);
  actAs(fork, undefined);
  fork.chown('/top/file', 1, 1, true);
  assert.equal(reads.mock.callCount(), 0);
});
