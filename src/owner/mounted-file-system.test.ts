/** Files of a mounted tree: what the tests of library and commands leave out, such as attributes, holes and nodes. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { stopOwner } from '../../testing/owner/stop-owner.ts';
import { until } from '../../testing/pace/until.ts';
import { type ErrorCode, isFsError } from '../base/index.ts';
import { StoreEngine } from '../store/index.ts';
import { createSystem, deviceMountedAt } from '../sys/index.ts';
import { OwnerClient } from './client.ts';
import { detachDeadMount, isDeadMount } from './mount-point.ts';
import { MountedFileSystem } from './mounted-file-system.ts';
import { MountedTrees } from './mounted-trees.ts';

const skip = mountsOnly;
const O_RDWR_CREATE = 0o102;
process.env.RAMET_OWNER_IDLE_MS = '2000';

interface Fixture {
  readonly files: MountedFileSystem;
  readonly place: string;
  readonly store: string;
}

/** Mounts an empty fork. */
async function mounted(context: TestContext): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  const [store, place] = [join(directory, 'store'), join(directory, 'place')];
  mkdirSync(place);
  const engine = await StoreEngine.open(store, { create: true });
  engine.createEmpty('fork').close();
  await engine.close();
  context.after(async () => {
    await stopOwner(store);
    rmSync(directory, { recursive: true, force: true });
  });
  const client = await OwnerClient.connectOrStart(store);
  await client.request('mount', { fork: 'fork', directory: place });
  client.close();
  const files = new MountedFileSystem(createSystem(), { directory: place }, false);
  context.after(() => files.end());
  return { files, place, store };
}

function fails(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFsError(error, code), String(error));
    assert.equal(error.path, undefined, 'the caller adds the path');
    return true;
  };
}

test('attributes of files and of symlinks themselves', { skip }, async (context) => {
  const { files } = await mounted(context);
  files.close(files.open('/file', O_RDWR_CREATE, 0o600));
  files.symlink('file', '/link');
  files.setXattr('/link', 'user.one', Buffer.from('1'), 0, true);
  assert.deepEqual(files.listXattrs('/file', true), ['user.one']);
  assert.equal(files.getXattr('/file', 'user.one', true).toString(), '1');
  assert.throws(() => files.getXattr('/file', 'user.two', true), fails('ENODATA'));
  assert.throws(() => files.setXattr('/file', 'user.one', Buffer.alloc(0), 1, true), fails('ENOTSUP'));
  files.setTimes('/link', { seconds: 5, nanoseconds: 6 }, { seconds: 7, nanoseconds: 8 }, false);
  files.setTimes('/link', 'omit', { seconds: 9, nanoseconds: 10 }, true);
  const [link, file] = [files.stat('/link', false), files.stat('/link', true)];
  assert.deepEqual([link.atimeSeconds, link.mtimeSeconds, link.mtimeNanoseconds], [5, 7, 8]);
  assert.deepEqual([file.mtimeSeconds, file.mtimeNanoseconds], [9, 10]);
  assert.ok(file.atimeSeconds > 1_000_000);
  files.chown('/link', 12, 34, false);
  assert.deepEqual(
    [files.stat('/link', false).uid, files.stat('/file', false).uid],
    [12, process.getuid?.()],
  );
  files.chown('/link', 56, 78, true);
  assert.deepEqual([files.stat('/file', false).uid, files.stat('/file', false).gid], [56, 78]);
  assert.equal(files.tryStat('/file/below', true), undefined);
  assert.throws(() => files.access('/none', 4), fails('ENOENT'));
  files.access('/link', 4);
});

test('holes, positions and appending work as in a tree that this process has open', {
  skip,
}, async (context) => {
  const { files } = await mounted(context);
  const file = files.open('/file', O_RDWR_CREATE, 0o600);
  files.write(file, Buffer.alloc(4096, 'x'), 0, 4096, 8192);
  assert.deepEqual([files.seekData(file, 0), files.seekHole(file, 8192)], [8192, 12_288]);
  assert.throws(() => files.seekData(file, 20_000), fails('ENXIO'));
  assert.equal(files.write(file, Buffer.from('ab'), 0, 2, null), 2);
  assert.equal(file.position, 2);
  files.close(file);
  const appending = files.open('/file', O_RDWR_CREATE | 0o2000, 0o600);
  files.write(appending, Buffer.from('end'), 0, 3, null);
  assert.equal(appending.position, 12_291);
  files.setFileTimes(appending, { seconds: 11, nanoseconds: 0 }, { seconds: 12, nanoseconds: 0 });
  assert.equal(files.statFile(appending).mtimeSeconds, 12);
  files.close(appending);
  assert.throws(() => files.close(appending), fails('EBADF'));
  assert.throws(() => files.read(appending, Buffer.alloc(1), 0, 1, 0), fails('EBADF'));
});

test('a write that only partly fits returns how much it wrote', { skip }, async (context) => {
  const { files } = await mounted(context);
  const file = files.open('/file', O_RDWR_CREATE, 0o600);
  // The kernel sends the write in parts, and a file has at most 2^52 bytes.
  const part = 1024 * 1024;
  assert.equal(files.write(file, Buffer.alloc(2 * part, 'x'), 0, 2 * part, 2 ** 52 - part), part);
  assert.equal(files.statFile(file).size, 2 ** 52);
  assert.throws(() => files.write(file, Buffer.from('x'), 0, 1, 2 ** 52), fails('EFBIG'));
  files.close(file);
});

test('a fifo is made, and opening it is refused; unlink of the root and a link of a missing file fail', {
  skip,
}, async (context) => {
  const { files } = await mounted(context);
  files.makeNode('/fifo', 0o010644, 0);
  assert.equal(files.stat('/fifo', true).mode, 0o010644);
  assert.throws(() => files.open('/fifo', 0, 0), fails('ENXIO'));
  assert.deepEqual(
    files.readDirectory('/').map(({ name, kind }) => [name, kind]),
    [['fifo', 1]],
  );
  assert.throws(() => files.link('/none', '/x', true), fails('ENOENT'));
  assert.throws(
    () => files.unlink('/'),
    (error) => isFsError(error),
  );
});

test('two mounts share no blocks: EXDEV, so that bytes are copied', { skip }, async (context) => {
  const { files, place } = await mounted(context);
  const other = new MountedFileSystem(createSystem(), { directory: place }, false);
  context.after(() => other.end());
  const [from, to] = [other.open('/a', O_RDWR_CREATE, 0o600), files.open('/b', O_RDWR_CREATE, 0o600)];
  assert.throws(() => files.reflink(from, to, other), fails('EXDEV'));
  other.close(from);
  files.close(to);
});

test('a mount of another device that replaced the expected one is refused', { skip }, async (context) => {
  const { place } = await mounted(context);
  const open = (device: string) =>
    new MountedFileSystem(createSystem(), { directory: place, device }, false).end();
  assert.throws(
    () => open('0:1'),
    (error) => isFsError(error, 'ENOTCONN') && error.path === place,
  );
  open(deviceMountedAt(place)!);
});

test('begin() works again after end(), but not once the directory is unmounted', {
  skip,
}, async (context) => {
  const { files, place, store } = await mounted(context);
  files.end();
  assert.throws(() => files.stat('/', true), fails('EBADF'));
  files.begin();
  assert.ok(files.stat('/', true).ino > 0);
  files.end();
  const trees = new MountedTrees(store, createSystem());
  const record = await trees.find('fork');
  await stopOwner(store);
  await until(() => !existsSync(`/proc/${record!.pid}/exe`), 'the owner has ended');
  assert.deepEqual(readdirSync(place), []);
  assert.throws(
    () => files.begin(),
    (error) => isFsError(error, 'ENOTCONN') && /unmounted meanwhile/.test(error.note ?? ''),
  );
  assert.throws(
    () => trees.open(record!, false),
    (error) => isFsError(error, 'ENOTCONN'),
  );
  await trees.close();
});

test('a mount whose owner was killed is ENOTCONN, and the error names its directory', {
  skip,
}, async (context) => {
  const { files, place, store } = await mounted(context);
  const owner = await OwnerClient.connect(store);
  process.kill(owner!.pid!, 'SIGKILL');
  try {
    await until(() => isDeadMount(place), 'the mount is dead');
    assert.throws(() => files.stat('/none', false), fails('ENOTCONN'));
    assert.throws(() => new MountedFileSystem(createSystem(), { directory: place }, false), {
      code: 'ENOTCONN',
      syscall: 'open',
      path: place,
    });
  } finally {
    detachDeadMount(place);
  }
});
