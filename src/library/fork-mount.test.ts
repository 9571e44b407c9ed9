/** Mounted forks: their handles, their fs, and how a mount ends. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { stopOwner } from '../../testing/owner/stop-owner.ts';
import { until } from '../../testing/pace/until.ts';
import { OwnerClient } from '../owner/index.ts';
import { type Fork, Store } from './library.ts';

const skip = mountsOnly;
process.env.RAMET_OWNER_IDLE_MS = '2000';

interface Fixture {
  readonly store: Store;
  readonly fork: Fork;
  /** An empty directory to mount at. */
  readonly place: string;
  at(name: string): string;
}

async function withFork(context: TestContext): Promise<Fixture> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  const at = (name: string): string => join(directory, name);
  mkdirSync(at('project/src'), { recursive: true });
  writeFileSync(at('project/src/a.ts'), 'export const a = 1;\n');
  mkdirSync(at('place'));
  const store = await Store.open(at('store'));
  context.after(async () => {
    await store.close();
    await stopOwner(at('store'));
    rmSync(directory, { recursive: true, force: true });
  });
  const base = await store.import(at('project'), { name: 'base' });
  return { store, fork: await base.fork('try-1'), place: at('place'), at };
}

test('a mounted fork is one tree for its handle and for every program', { skip }, async (context) => {
  const { fork, place } = await withFork(context);
  fork.fs.writeFileSync('/before', 'written before\n');
  {
    await using mount = await fork.mount(place);
    assert.deepEqual([mount.directory, mount.io], [place, 'cached']);
    const wrong: object = { lazy: 'yes' };
    await assert.rejects(mount.unmount(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.equal(readFileSync(join(place, 'before'), 'utf8'), 'written before\n');
    writeFileSync(join(place, 'outside'), 'by a program\n');
    const { fs } = fork;
    assert.equal(fs.readFileSync('/outside', 'utf8'), 'by a program\n');
    fs.mkdirSync('/made/deep', { recursive: true });
    await fs.promises.writeFile('/made/deep/x', 'by the handle\n');
    assert.equal(readFileSync(join(place, 'made/deep/x'), 'utf8'), 'by the handle\n');
  }
  assert.deepEqual(readdirSync(place), []);
  const { fs } = fork;
  assert.deepEqual(fs.readdirSync('/'), ['before', 'made', 'outside', 'src']);
  assert.equal(Buffer.from(fork.map('/outside').bytes).toString(), 'by a program\n');
});

test('fs of a mounted fork does what node:fs does', { skip }, async (context) => {
  const { fork, place } = await withFork(context);
  await using _mount = await fork.mount(place);
  const { fs } = fork;
  fs.writeFileSync('/f', '0123456789');
  const fd = fs.openSync('/f', 'r+');
  assert.equal(fs.writeSync(fd, 'ab', 2), 2);
  const buffer = Buffer.alloc(4);
  assert.equal(fs.readSync(fd, buffer, 0, 4, 0), 4);
  assert.equal(buffer.toString(), '01ab');
  fs.ftruncateSync(fd, 5);
  fs.fsyncSync(fd);
  assert.equal(fs.fstatSync(fd).size, 5);
  fs.closeSync(fd);
  fs.appendFileSync('/f', '!');
  assert.equal(fs.readFileSync('/f', 'utf8'), '01ab4!');
  fs.utimesSync('/f', 1_000, 2_000);
  assert.deepEqual([fs.statSync('/f').atimeMs, fs.statSync('/f').mtimeMs], [1_000_000, 2_000_000]);
  fs.chmodSync('/f', 0o640);
  assert.equal(fs.statSync('/f').mode & 0o7777, 0o640);
  fs.symlinkSync('/f', '/link');
  assert.equal(fs.readlinkSync('/link'), '/f');
  assert.equal(fs.realpathSync('/link'), '/f');
  assert.ok(fs.lstatSync('/link').isSymbolicLink());
  fs.linkSync('/f', '/hard');
  assert.equal(fs.statSync('/hard').ino, fs.statSync('/f').ino);
  fs.renameSync('/hard', '/src/moved');
  fs.copyFileSync('/f', '/copy');
  assert.equal(fs.readFileSync('/copy', 'utf8'), '01ab4!');
  fs.cpSync('/src', '/src2', { recursive: true });
  const entries = fs.readdirSync('/src2', { withFileTypes: true });
  assert.deepEqual(
    entries.map((entry) => [entry.name, entry.isFile()]),
    [
      ['a.ts', true],
      ['moved', true],
    ],
  );
  fs.rmSync('/src2', { recursive: true });
  assert.ok(!fs.existsSync('/src2'));
  assert.throws(() => fs.readFileSync('/none'), {
    code: 'ENOENT',
    syscall: 'open',
    path: '/none',
    message: "ENOENT: no such file or directory, open '/none'",
  });
  assert.throws(() => fs.rmdirSync('/src'), { code: 'ENOTEMPTY' });
  assert.throws(() => fs.mkdirSync('/src'), { code: 'EEXIST' });
  spawnSync('mkfifo', [join(place, 'fifo')]);
  assert.throws(() => fs.openSync('/fifo', 'r'), { code: 'ENXIO' });
});

test('neither a symlink to the host nor a path above the root leads out of the fork', {
  skip,
}, async (context) => {
  const { fork, place, at } = await withFork(context);
  await using _mount = await fork.mount(place);
  const { fs } = fork;
  writeFileSync(at('secret'), 'of the host');
  fs.symlinkSync(at(''), '/out');
  fs.symlinkSync(`../../../../../../..${at('secret')}`, '/relative');
  for (const path of ['/out/secret', '/relative', `/../..${at('secret')}`]) {
    assert.throws(() => fs.readFileSync(path), { code: 'ENOENT' }, path);
  }
  assert.throws(() => fs.writeFileSync('/out/planted', ''), { code: 'ENOENT' });
  assert.throws(() => fs.unlinkSync('/out/secret'), { code: 'ENOENT' });
  assert.throws(() => fs.renameSync('/src', '/out/src'), { code: 'ENOENT' });
  fs.renameSync('/../src', '/../moved');
  assert.ok(fs.existsSync('/moved/a.ts'));
  assert.deepEqual(readdirSync(at('')).sort(), ['place', 'project', 'secret', 'store']);
});

test('fork, snapshot and diff work on a mounted fork; map does not, and says why', {
  skip,
}, async (context) => {
  const { store, fork, place } = await withFork(context);
  await using mount = await fork.mount(place, { io: 'direct' });
  assert.equal(mount.io, 'direct');
  writeFileSync(join(place, 'new'), 'one');
  const deeper = await fork.fork('deeper');
  const then = await fork.snapshot('then');
  writeFileSync(join(place, 'new'), 'two, longer');
  assert.equal(deeper.fs.readFileSync('/new', 'utf8'), 'one');
  assert.equal(then.fs.readFileSync('/new', 'utf8'), 'one');
  assert.deepEqual(
    (await fork.diff()).map(({ kind, path }) => [kind, path]),
    [['added', '/new']],
  );
  assert.deepEqual(
    (await then.diff('try-1')).map(({ kind, path }) => [kind, path]),
    [['modified', '/new']],
  );
  assert.throws(() => fork.map('/new'), {
    code: 'EBUSY',
    message: /it is mounted at .*place: unmount it first/,
  });
  await assert.rejects(fork.mount(place), { code: 'EBUSY', message: /it is mounted at/ });
  await assert.rejects(fork.fork('deeper'), { code: 'EEXIST' });
  await assert.rejects(fork.snapshot('a/b'), { code: 'EINVAL' });
  await assert.rejects(store.drop('try-1'), { code: 'EBUSY' });
});

test('files must be closed and unmapped before a mount', { skip }, async (context) => {
  const { fork, place } = await withFork(context);
  const fd = fork.fs.openSync('/src/a.ts', 'r');
  await assert.rejects(fork.mount(place), { code: 'EBUSY', message: /open or mapped in this process/ });
  fork.fs.closeSync(fd);
  const view = fork.map('/src/a.ts');
  await assert.rejects(fork.mount(place), { code: 'EBUSY' });
  view.close();
  await using _mount = await fork.mount(place);
});

test('a mount that fails leaves the fork as it was', { skip }, async (context) => {
  const { store, fork, place } = await withFork(context);
  await assert.rejects(fork.mount(join(place, 'none')), { code: 'ENOENT', message: /make it first/ });
  writeFileSync(join(place, 'something'), '');
  await assert.rejects(fork.mount(place), { code: 'ENOTEMPTY', message: /empty directory/ });
  rmSync(join(place, 'something'));
  const owner = await OwnerClient.connectOrStart(store.directory);
  await owner.request('mount', { fork: 'base', directory: place });
  await assert.rejects(fork.mount(place), { code: 'EBUSY', message: /something is mounted there/ });
  await owner.request('unmount', { target: place });
  owner.close();
  // The owner cannot start; by then the fork has given up its layer for it.
  await stopOwner(store.directory);
  process.env.NODE_OPTIONS = '--require=./there-is-no-such-file';
  await assert.rejects(fork.mount(place), { code: 'ENOTCONN', message: /before it was ready/ });
  delete process.env.NODE_OPTIONS;
  fork.fs.writeFileSync('/still', 'here');
  assert.equal(fork.fs.readFileSync('/still', 'utf8'), 'here');
});

test('unmounting a busy mount gives EBUSY; unmounting lazily works, and the fork is busy until its programs end', {
  skip,
}, async (context) => {
  const { fork, place } = await withFork(context);
  const mount = await fork.mount(place);
  const user = spawn('sleep', ['60'], { cwd: place });
  try {
    await assert.rejects(mount.unmount(), { code: 'EBUSY', message: /end them, or use --lazy/ });
    fork.fs.writeFileSync('/still', 'mounted');
    assert.equal(readFileSync(join(place, 'still'), 'utf8'), 'mounted');
    await mount.unmount({ lazy: true });
    assert.deepEqual(readdirSync(place), []);
    assert.throws(() => fork.fs, { code: 'EBUSY' });
  } finally {
    user.kill('SIGKILL');
  }
  await once(user, 'exit');
  const isFree = (): boolean => {
    try {
      return fork.fs.readFileSync('/still', 'utf8') === 'mounted';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
      throw error;
    }
  };
  await until(isFree, 'the fork is free again');
  await mount.unmount();
});

test('unmounting waits for a program that is about to end', { skip }, async (context) => {
  const { fork, place } = await withFork(context);
  const mount = await fork.mount(place);
  const user = spawn('sleep', ['0.2'], { cwd: place });
  await once(user, 'spawn');
  await mount.unmount();
  assert.equal(user.exitCode ?? (await once(user, 'exit'))[0], 0);
  assert.deepEqual(readdirSync(place), []);
});

test('when the owner is killed the fork comes back whole', { skip }, async (context) => {
  const { store, fork, place } = await withFork(context);
  const mount = await fork.mount(place);
  writeFileSync(join(place, 'written'), 'and acknowledged');
  const owner = await OwnerClient.connect(store.directory);
  process.kill(owner!.pid!, 'SIGKILL');
  await owner!.untilEnded();
  // ECONNABORTED comes if the call begins before the kernel has noticed the end of the owner.
  assert.throws(() => fork.fs.writeFileSync('/late', ''), { code: /^(ENOTCONN|ECONNABORTED)$/ });
  await assert.rejects(fork.fork('x'), { code: 'ENOTCONN' });
  await mount.unmount();
  assert.equal(fork.fs.readFileSync('/written', 'utf8'), 'and acknowledged');
  assert.deepEqual(readdirSync(place), []);
});

test('when the owner is killed the fork comes back even if its layer is released late', {
  skip,
}, async (context) => {
  const { store, fork, place, at } = await withFork(context);
  const mount = await fork.mount(place);
  writeFileSync(join(place, 'written'), 'and acknowledged');
  const owner = await OwnerClient.connect(store.directory);
  process.kill(owner!.pid!, 'SIGKILL');
  await owner!.untilEnded();
  // Holds the fork for a while after the kill, like an owner whose large memory the kernel is still freeing.
  const script = `
    const { Store } = await import(process.argv[1]);
    const fork = await (await Store.open(process.argv[2])).fork('try-1');
    fork.fs;
    process.stdout.write('has it');
    process.stdin.once('data', () => process.kill(process.pid, 'SIGKILL'));
  `;
  const library = new URL('../index.js', import.meta.url).href;
  const args = ['--input-type=module', '-e', script, library, at('store')];
  const holder = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  context.after(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  setTimeout(() => holder.stdin.write('end'), 300);
  await mount.unmount();
  assert.equal(fork.fs.readFileSync('/written', 'utf8'), 'and acknowledged');
  assert.deepEqual(readdirSync(place), []);
});

test('diff of trees that nobody has open does not ask a stopped owner', {
  skip,
}, async (context) => {
  const { store, fork, place } = await withFork(context);
  const mount = await fork.mount(place);
  const other = await (await store.snapshot('base')).fork('try-2');
  other.fs.writeFileSync('/new', 'x');
  await other.close();
  const owner = await OwnerClient.connect(store.directory);
  process.kill(owner!.pid!, 'SIGSTOP');
  try {
    const changes = await Promise.race([
      store.diff('base', 'try-2'),
      sleep(20_000, undefined, { ref: false }),
    ]);
    assert.deepEqual(
      changes?.map(({ kind, path }) => `${kind} ${path}`),
      ['added /new'],
    );
  } finally {
    process.kill(owner!.pid!, 'SIGCONT');
  }
  owner!.close();
  await mount.unmount();
});

test('closing the fork or the store ends the mount, and so does the end of the process', {
  skip,
}, async (context) => {
  const { store, fork, place, at } = await withFork(context);
  await fork.mount(place);
  await fork.close();
  assert.deepEqual(readdirSync(place), []);
  assert.throws(() => fork.fs, { code: 'EBADF' });
  await (await store.fork('try-1')).mount(place);
  await store.close();
  assert.deepEqual(readdirSync(place), []);
  const script = `
    const { Store } = await import(process.argv[1]);
    const fork = await (await Store.open(process.argv[2])).fork('try-1');
    await fork.mount(process.argv[3]);
    fork.fs.writeFileSync('/by-child', 'x');
  `;
  const library = new URL('../index.js', import.meta.url).href;
  const child = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script, library, at('store'), place],
    { encoding: 'utf8' },
  );
  assert.deepEqual([child.status, child.stderr], [0, '']);
  const again = await Store.open(at('store'));
  const mounted = async (): Promise<number> => {
    const owner = await OwnerClient.connect(at('store'));
    const count = owner === undefined ? 0 : (await owner.request('mounts', {})).length;
    owner?.close();
    return count;
  };
  await until(async () => (await mounted()) === 0, 'nothing is mounted');
  assert.equal((await again.fork('try-1')).fs.readFileSync('/by-child', 'utf8'), 'x');
  await again.close();
});
