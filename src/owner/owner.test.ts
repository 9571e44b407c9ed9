/** The owner as its clients see it, over a mount server that mounts nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { FakeMount } from '../../testing/owner/fake-mount-server.ts';
import { ScratchOwner } from '../../testing/owner/scratch-owner.ts';
import { until } from '../../testing/pace/until.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { type ErrorCode, FsError, isFsError } from '../base/index.ts';
import { StoreEngine } from '../store/index.ts';
import { OwnerClient } from './client.ts';
import { MountedTrees } from './mounted-trees.ts';
import { PROTOCOL_VERSION, REQUEST_BYTES_MAX } from './protocol.ts';

const PLACE = '/some/where';

function fails(code: ErrorCode, note: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(isFsError(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.note ?? '', note);
    return true;
  };
}

test('a mounted fork is listed with its directory, mode, time and process, until it is unmounted', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  const record = await client.request('mount', { fork: 'one', directory: PLACE, io: 'direct' });
  assert.deepEqual(
    [record.fork, record.directory, record.io, record.pid, record.holders, record.isKept, record.isDetached],
    ['one', PLACE, 'direct', process.pid, [], true, false],
  );
  assert.ok(Math.abs(Date.parse(record.since) - Date.now()) < 60_000);
  assert.deepEqual(await client.request('mounts', {}), [record]);
  assert.equal(scratch.server.mounts[0]!.options.source, 'ramet:one');
  assert.deepEqual(await client.request('unmount', { target: PLACE }), {
    fork: 'one',
    directory: PLACE,
    isStillUsed: false,
    users: [],
  });
  assert.deepEqual(await client.request('mounts', {}), []);
  scratch.engine.openTree('one').close();
});

test('the owner has a fork open while it is mounted; snapshots can be mounted as well', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  scratch.engine.snapshot('one', 'frozen');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  await client.request('mount', { fork: 'frozen', directory: `${PLACE}/else` });
  assert.deepEqual(
    scratch.server.mounts.map(({ tree }) => [tree.info.name, tree.isReadOnly]),
    [
      ['one', false],
      ['frozen', true],
    ],
  );
  assert.equal(scratch.engine.openTreeOf('one'), scratch.server.mounts[0]!.tree);
  // The name of the tree will do for unmounting, too.
  assert.equal((await client.request('unmount', { target: 'one' })).directory, PLACE);
  assert.equal(scratch.engine.openTreeOf('one'), undefined);
});

test('mounting twice is EBUSY and names the directory; so is a directory that is taken', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  scratch.makeFork('two');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  await assert.rejects(
    client.request('mount', { fork: 'one', directory: '/other' }),
    fails('EBUSY', /mounted at \/some\/where.*ramet umount/),
  );
  await assert.rejects(
    client.request('mount', { fork: 'two', directory: PLACE }),
    fails('EBUSY', /'one' is mounted there/),
  );
});

test('of two simultaneous requests to mount one fork, one mounts it', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  const outcomes = await Promise.allSettled([
    client.request('mount', { fork: 'one', directory: '/a' }),
    client.request('mount', { fork: 'one', directory: '/b' }),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  assert.equal(scratch.server.mounts.length, 1);
});

test('an unknown fork is ENOENT, one that another process has open EBUSY with its process id', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await assert.rejects(
    client.request('mount', { fork: 'none', directory: PLACE }),
    fails('ENOENT', /no fork or snapshot/),
  );
  // Another engine stands for another process.
  const other = await StoreEngine.open(scratch.engine.directory);
  t.after(() => other.close());
  const open = other.openTree('one');
  await assert.rejects(
    client.request('mount', { fork: 'one', directory: PLACE }),
    fails('EBUSY', new RegExp(`${process.pid}.*close it there first`)),
  );
  open.close();
  await client.request('mount', { fork: 'one', directory: PLACE });
});

test('a fork that another process has open for a moment is waited for', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  const other = await StoreEngine.open(scratch.engine.directory);
  t.after(() => other.close());
  const open = other.openTree('one');
  setTimeout(() => open.close(), 150);
  await client.request('mount', { fork: 'one', directory: PLACE });
});

test('an error of the mount server reaches the client with a hint, and the fork is free again', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  for (const [code, note] of [
    ['EACCES', /yours to write to/],
    ['EPERM', /fusermount3/],
    ['ENOTEMPTY', /empty/],
  ] as const) {
    scratch.server.failure = new FsError(code, { syscall: 'mount' });
    await assert.rejects(client.request('mount', { fork: 'one', directory: PLACE }), fails(code, note));
  }
  scratch.server.failure = new Error('a defect');
  await assert.rejects(client.request('mount', { fork: 'one', directory: PLACE }), /a defect/);
  scratch.engine.openTree('one').close();
});

test('unmounting a busy mount is EBUSY; lazily it works, and the fork is free when the mount ends', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  const mount = scratch.server.mounts[0]!;
  mount.isBusy = true;
  await assert.rejects(client.request('unmount', { target: PLACE }), fails('EBUSY', /--lazy/));
  const report = await client.request('unmount', { target: PLACE, isLazy: true });
  assert.equal(report.isStillUsed, true);
  assert.equal((await client.request('mounts', {}))[0]!.isDetached, true);
  await assert.rejects(
    client.request('mount', { fork: 'one', directory: PLACE }),
    fails('EBUSY', /was unmounted.*still use it/),
  );
  await assert.rejects(client.request('hold', { fork: 'one' }), fails('EBUSY', /still use it/));
  mount.end();
  await client.request('mount', { fork: 'one', directory: PLACE });
});

test('unmounting a tree that is not mounted is EINVAL', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const client = await scratch.client();
  await assert.rejects(client.request('unmount', { target: 'x' }), fails('EINVAL', /ramet ls --mounts/));
});

test('a held mount ends with its connection, and its directory with it', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const holder = await scratch.client();
  const { directory } = await holder.request('hold', { fork: 'one', io: 'shared' });
  assert.equal(directory, scratch.place.mountPath('one'));
  assert.ok(existsSync(directory));
  const client = await scratch.client();
  assert.deepEqual((await client.request('mounts', {}))[0]!.holders, [process.pid]);
  holder.close();
  await scratch.server.mounts[0]!.ended;
  while ((await client.request('mounts', {})).length > 0);
  assert.ok(!existsSync(directory));
  scratch.engine.openTree('one').close();
});

test('a mount with two holders ends with the last of them; a mount that was kept outlives its holders', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  scratch.makeFork('kept');
  const first = await scratch.client();
  const second = await scratch.client();
  const client = await scratch.client();
  await first.request('hold', { fork: 'one' });
  await second.request('hold', { fork: 'one' });
  await client.request('mount', { fork: 'kept', directory: PLACE });
  assert.equal((await first.request('hold', { fork: 'kept' })).directory, PLACE);
  assert.equal(scratch.server.mounts.length, 2);
  await assert.rejects(
    client.request('unmount', { target: PLACE }),
    fails('EBUSY', new RegExp(`process ${process.pid} works in it`)),
  );
  first.close();
  const forks = async (): Promise<string[]> => (await client.request('mounts', {})).map(({ fork }) => fork);
  await client.request('status', {});
  assert.deepEqual(await forks(), ['one', 'kept']);
  second.close();
  while ((await forks()).length > 1);
  assert.deepEqual(await forks(), ['kept']);
});

test('mounting at a directory of the store is EBUSY', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  const { directory: store } = scratch.engine;
  for (const directory of [store, `${store}/run/mounts`, `${store}/run/mounts/one`]) {
    const request = client.request('mount', { fork: 'one', directory });
    await assert.rejects(request, fails('EBUSY', /lies in the store: choose another/));
  }
  await client.request('mount', { fork: 'one', directory: `${store}-beside` });
});

test('a hold of a fork that is mounted in another mode is EBUSY', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE, io: 'cached' });
  await assert.rejects(client.request('hold', { fork: 'one', io: 'direct' }), fails('EBUSY', /--io cached/));
});

test('a held mount that is busy when its connection closes is unmounted lazily', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const holder = await scratch.client();
  await holder.request('hold', { fork: 'one' });
  const mount = scratch.server.mounts[0]!;
  mount.isBusy = true;
  holder.close();
  const client = await scratch.client();
  while ((await client.request('mounts', {}))[0]?.isDetached === false);
  assert.deepEqual(mount.unmounts, [false, true]);
});

test('an aborted mount frees its tree, and is unmounted by name, by place, or with its last holder', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  const abortOne = async (holder: OwnerClient, isHeld: boolean): Promise<FakeMount> => {
    await holder.request('mount', { fork: 'one', directory: PLACE, isHeld });
    const mount = scratch.server.mounts.at(-1)!;
    mount.abort();
    while ((await client.request('mounts', {})).length > 0);
    scratch.engine.openTree('one').close();
    assert.deepEqual(mount.unmounts, []);
    return mount;
  };
  for (const target of ['one', PLACE]) {
    const mount = await abortOne(client, false);
    const report = await client.request('unmount', { target });
    assert.deepEqual(report, { fork: 'one', directory: PLACE, isStillUsed: false, users: [] });
    assert.deepEqual(mount.unmounts, [true]);
    await assert.rejects(client.request('unmount', { target }), fails('EINVAL', /ls --mounts/));
  }
  const holder = await scratch.client();
  const mount = await abortOne(holder, true);
  holder.close();
  while (mount.unmounts.length === 0) await client.request('status', {});
  await assert.rejects(client.request('unmount', { target: PLACE }), fails('EINVAL', /ls --mounts/));
});

test('the owner unmounts an aborted mount of a hold, and tries again until that succeeds', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('hold', { fork: 'one' });
  const mount = scratch.server.mounts[0]!;
  const { unmount } = mount;
  let failures = 0;
  mount.unmount = async (options) => {
    if (failures++ < 2) throw new FsError('ETIMEDOUT', { syscall: 'umount' });
    await unmount.call(mount, options);
  };
  mount.abort();
  const place = scratch.place.mountPath('one');
  await until(() => !existsSync(place), 'nothing is left of it');
  assert.deepEqual([failures, mount.unmounts], [3, [true]]);
  const told = scratch.logged.filter(({ msg }) =>
    /could not be taken away: it is tried again/.test(String(msg)),
  );
  assert.deepEqual(
    told.map(({ fork, err }) => [fork, (err as { code: string }).code]),
    [
      ['one', 'ETIMEDOUT'],
      ['one', 'ETIMEDOUT'],
    ],
  );
  const again = await client.request('hold', { fork: 'one' });
  assert.equal(again.directory, place);
});

test('a client that goes away while its tree is being mounted leaves no mount', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  let goOn: () => void = () => undefined;
  scratch.server.delay = new Promise((resolve) => {
    goOn = resolve;
  });
  const holder = await scratch.client();
  const request = holder.request('mount', { fork: 'one', directory: PLACE, isHeld: true });
  const client = await scratch.client();
  holder.close();
  await assert.rejects(request, fails('ECANCELED', /closed/));
  while ((await client.request('status', {})).connections > 0);
  goOn();
  while (scratch.server.mounts.length === 0) await client.request('status', {});
  await scratch.server.mounts[0]!.ended;
  while ((await client.request('mounts', {})).length > 0);
});

test('fork, snapshot and settle work on a mounted fork', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  scratch.server.mounts[0]!.tree.fileSystem.makeDirectory('/made', 0o755);
  assert.equal((await client.request('fork', { source: 'one', name: 'two' })).source, 'one');
  assert.equal((await client.request('snapshot', { source: 'one', name: 'then' })).kind, 'snapshot');
  for (const name of ['two', 'then']) {
    const tree = scratch.engine.openTree(name);
    assert.deepEqual(tree.fileSystem.readDirectoryNames('/'), ['made']);
    tree.close();
  }
  scratch.server.mounts[0]!.tree.fileSystem.makeDirectory('/later', 0o755);
  assert.deepEqual(await client.request('settle', { forks: ['one', 'two'] }), { settled: 1 });
  assert.equal(scratch.server.mounts[0]!.tree.stack.upper!.journal.recordCount, 0);
  assert.equal(scratch.server.mounts[0]!.syncs, 3, 'one for each of fork, snapshot and settle');
  await assert.rejects(client.request('fork', { source: 'one', name: 'two' }), fails('EEXIST', /^/));
  await assert.rejects(client.request('fork', { source: 'none', name: 'x' }), fails('ENOENT', /no fork/));
});

test('more forks than one request can name are settled and frozen', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const client = await scratch.client();
  // Names of almost the maximum length; in JSON, which escapes each quote, they are nearly twice as long.
  const names = Array.from({ length: 170 }, (_, index) => String(index).padStart(200, '"'));
  assert.ok(JSON.stringify(names).length > REQUEST_BYTES_MAX);
  for (const [index, fork] of names.entries()) {
    scratch.makeFork(fork);
    await client.request('mount', { fork, directory: `${PLACE}/${index}` });
    scratch.server.mounts[index]!.tree.fileSystem.makeDirectory('/made', 0o755);
  }
  const trees = new MountedTrees(scratch.engine.directory, scratch.engine.system);
  t.after(() => trees.close());
  assert.deepEqual(await trees.settle(new Set([...names, 'other'])), new Set(names));
  for (const { tree, syncs } of scratch.server.mounts)
    assert.deepEqual([syncs, tree.stack.upper!.journal.recordCount], [1, 0]);
  assert.deepEqual(await trees.freeze(undefined), new Set(names));
  for (const { tree } of scratch.server.mounts) assert.ok(tree.stack.writable().isPristine);
  assert.deepEqual(await trees.freeze([names[0]!, 'other']), new Set([names[0]]));
});

test('clone makes a file in a mounted tree that shares the blocks of a file of another tree', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const source = scratch.engine.openTree('one');
  const file = source.fileSystem.open('/file', 0o102, 0o644);
  source.fileSystem.write(file, Buffer.from('content'), 0, 7, 0);
  source.fileSystem.close(file);
  scratch.engine.snapshot('one', 'frozen');
  const own = source.fileSystem.open('/own', 0o102, 0o644);
  source.fileSystem.write(own, Buffer.from('own'), 0, 3, 0);
  source.fileSystem.close(own);
  source.close();
  scratch.makeFork('two');
  const client = await scratch.client();
  await client.request('mount', { fork: 'two', directory: PLACE });
  const clone = (from: string, sourcePath: string, targetPath: string, target = 'two'): Promise<object> =>
    client.request('clone', { source: from, sourcePath, target, targetPath });
  await clone('frozen', '/file', '/a');
  // The owner opens a fork that no process has open, and closes it again.
  await clone('one', '/file', '/b');
  scratch.engine.openTree('one').close();
  const { fileSystem } = scratch.server.mounts[0]!.tree;
  assert.deepEqual(fileSystem.readDirectoryNames('/').sort(), ['a', 'b']);
  const copy = fileSystem.open('/b', 0, 0);
  const bytes = Buffer.alloc(7);
  fileSystem.read(copy, bytes, 0, 7, 0);
  fileSystem.close(copy);
  assert.equal(bytes.toString(), 'content');
  fileSystem.makeDirectory('/shared', 0o777);
  fileSystem.chown('/shared', process.geteuid!(), 12_345, true);
  fileSystem.chmod('/shared', 0o2777, true);
  await clone('frozen', '/file', '/shared/a');
  const { uid, gid } = fileSystem.stat('/shared/a', true);
  assert.deepEqual([uid, gid], [process.geteuid!(), 12_345], 'the group of a directory with set-group-ID');
  await assert.rejects(clone('frozen', '/none', '/c'), fails('ENOENT', /^$/));
  await assert.rejects(clone('frozen', '/file', '/a'), fails('EEXIST', /^$/));
  await assert.rejects(clone('none', '/file', '/c'), fails('ENOENT', /no fork/));
  await assert.rejects(clone('frozen', '/file', '/c', 'one'), fails('EINVAL', /not mounted/));
  // A mounted fork can change its blocks: nothing has frozen them.
  await client.request('mount', { fork: 'one', directory: `${PLACE}/else` });
  await assert.rejects(clone('one', '/own', '/c'), fails('EXDEV', /^/));
  assert.deepEqual(
    fileSystem.readDirectoryNames('/').sort(),
    ['a', 'b', 'shared'],
    'the failed clones left nothing',
  );
});

test('status counts; a wrong parameter is EINVAL and an unknown operation ENOSYS', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  const status = await client.request('status', {});
  assert.deepEqual(
    [status.pid, status.mounts, status.connections, status.store],
    [process.pid, 1, 0, scratch.engine.directory],
  );
  assert.ok(status.residentBytes > 1_000_000);
  const wrong = [
    ['mount', { fork: 1, directory: PLACE }, /'fork' must be text/],
    ['mount', { fork: 'one', directory: PLACE, io: 'fast' }, /cached, shared, direct/],
    ['mount', { fork: 'one', directory: PLACE, isHeld: 'yes' }, /true or false/],
    ['mount', { fork: 'one', directory: 'relative' }, /an absolute path/],
    ['mount', { fork: 'one', directory: '/some/../where' }, /an absolute path/],
    ['mount', { fork: 'one', directory: '/some/where\0' }, /an absolute path/],
    ['settle', { forks: 'one' }, /list of texts/],
    ['hello', { protocol: '1' }, /a whole number/],
    ['snapshot', null, /'source' must be text/],
  ] as const;
  for (const [operation, parameters, note] of wrong) {
    // The cast: it is wrong on purpose.
    await assert.rejects(client.request(operation, parameters as never), fails('EINVAL', note));
  }
  await assert.rejects(
    client.request('toString' as never, {} as never),
    fails('ENOSYS', /operations are hello, status/),
  );
});

/** A socket connected to the owner, for bytes of any kind, and a function that reads the next answer. */
async function rawSocket(scratch: ScratchOwner): Promise<[Socket, () => Promise<Record<string, unknown>>]> {
  const socket = createConnection(scratch.place.socketPath);
  await once(socket, 'connect');
  let text = '';
  const next = async (): Promise<Record<string, unknown>> => {
    while (!text.includes('\n')) text += String((await once(socket, 'data'))[0]);
    const line = text.slice(0, text.indexOf('\n'));
    text = text.slice(line.length + 1);
    return JSON.parse(line);
  };
  return [socket, next];
}

const HELLO = { id: 1, operation: 'hello', parameters: { protocol: PROTOCOL_VERSION, pid: 1 } };

test('the owner stops reading from a client that reads no answers; later that client gets all of them', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const [socket, next] = await rawSocket(scratch);
  t.after(() => socket.destroy());
  socket.write(`${JSON.stringify(HELLO)}\n`);
  await next();
  socket.pause();
  const count = 40_000;
  const line = (id: number): string => `${JSON.stringify({ id, operation: 'status', parameters: {} })}\n`;
  socket.write(Array.from({ length: count }, (_, id) => line(id)).join(''));
  const client = await scratch.client();
  // Requests that the owner has not read wait in this process and in the kernel.
  let before = -1;
  await until(async () => {
    await client.request('status', {});
    const isStill = socket.writableLength > 0 && socket.writableLength === before;
    before = socket.writableLength;
    return isStill;
  }, 'it is not read');
  assert.ok(socket.writableLength > 1_000_000, `${socket.writableLength} bytes`);
  const ids = new Set<unknown>();
  let rest = '';
  socket.on('data', (bytes: Buffer) => {
    const lines = (rest + bytes.toString()).split('\n');
    rest = lines.pop()!;
    for (const text of lines) ids.add(JSON.parse(text).id);
  });
  socket.resume();
  await until(() => ids.size === count, 'everything is answered');
});

test('a hold of a name that is no tree makes no directory', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const client = await scratch.client();
  for (const fork of ['../../made', 'none']) {
    await assert.rejects(client.request('hold', { fork }), (error) => isFsError(error, 'ENOENT'));
    assert.ok(!existsSync(scratch.place.mountPath(fork)), fork);
  }
});

test('another user is refused: the owner asks the kernel who connects', {
  skip: process.getuid?.() !== 0 && 'needs root, to be another user',
}, async (t) => {
  const scratch = await ScratchOwner.start(t);
  // The modes of the path now let everybody in: only the owner's own check is left.
  for (let path = scratch.place.socketPath; path !== tmpdir(); path = dirname(path)) chmodSync(path, 0o777);
  const script = `
    const socket = require('node:net').connect(process.argv[1]);
    socket.on('error', () => undefined).pipe(process.stdout);
  `;
  const child = spawn(process.execPath, ['-e', script, scratch.place.socketPath], {
    uid: 65_534,
    gid: 65_534,
  });
  let said = '';
  for await (const bytes of child.stdout) said += String(bytes);
  const { id, error } = JSON.parse(said);
  assert.deepEqual([id, error.code], [null, 'EACCES']);
  assert.match(error.note, /belongs to user 0, and this is user 65534/);
  assert.equal((await (await scratch.client()).request('status', {})).connections, 0);
});

test('a malformed line is answered with an error, and the connection goes on', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const [socket, next] = await rawSocket(scratch);
  t.after(() => socket.destroy());
  for (const line of ['{"id":', '', '[]', 'null', '"text"', '{"id":"1","operation":"mounts"}', '\0\xff']) {
    socket.write(`${line}\n`);
    const { id, error } = await next();
    assert.deepEqual([id, (error as { code: string }).code], [null, 'EINVAL'], JSON.stringify(line));
  }
  socket.write(`${JSON.stringify({ id: 7, operation: 'mounts' })}\n`);
  assert.match(JSON.stringify(await next()), /"id":7.*says hello first/);
  // One request arrives in pieces, and two requests at once.
  const text = `${JSON.stringify(HELLO)}\n${JSON.stringify({ id: 2, operation: 'mounts' })}\n`;
  for (const character of text.slice(0, 20)) socket.write(character);
  socket.write(text.slice(20));
  assert.equal((await next()).id, 1);
  assert.deepEqual(await next(), { id: 2, result: [] });
});

test('a line that is too long ends its connection and no other', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const client = await scratch.client();
  const [socket, next] = await rawSocket(scratch);
  socket.write('x'.repeat(REQUEST_BYTES_MAX + 1));
  assert.match(JSON.stringify(await next()), /E2BIG/);
  await once(socket, 'close');
  assert.deepEqual(await client.request('mounts', {}), []);
});

test('a client of another protocol version is refused with a hint, and may still stop the owner', async (t) => {
  const scratch = await ScratchOwner.start(t);
  const [socket, next] = await rawSocket(scratch);
  socket.write(`${JSON.stringify({ ...HELLO, parameters: { protocol: 99, pid: 1 } })}\n`);
  assert.match(JSON.stringify(await next()), /ENOTSUP.*protocol 1, this program 99.*ramet owner stop/);
  socket.write(`${JSON.stringify({ id: 2, operation: 'mounts' })}\n`);
  assert.match(JSON.stringify(await next()), /says hello first/);
  socket.write(`${JSON.stringify({ id: 3, operation: 'stop' })}\n`);
  assert.deepEqual(await next(), { id: 3, result: { pid: process.pid } });
  await scratch.owner.stopped;
});

test('stop unmounts everything, closes the trees and ends the connections', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  await client.request('stop', {});
  await Promise.all([scratch.owner.stopped, client.untilEnded()]);
  assert.ok(scratch.server.isClosed);
  assert.equal(scratch.engine.openTreeOf('one'), undefined);
  assert.ok(!existsSync(scratch.place.socketPath));
  await assert.rejects(client.request('mounts', {}), fails('ENOTCONN', /owner.log/));
  assert.equal(await OwnerClient.connect(scratch.engine.directory), undefined);
});

test('the owner ends after its idle time without a mount and a connection, and not before', async (t) => {
  const scratch = await ScratchOwner.start(t, { idleMs: 100 });
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: PLACE });
  const after = (ms: number): Promise<string> =>
    new Promise((resolve) => setTimeout(() => resolve('late'), ms));
  const stopped = scratch.owner.stopped.then(() => 'stopped');
  assert.equal(await Promise.race([stopped, after(250)]), 'late');
  client.close();
  assert.equal(await Promise.race([stopped, after(250)]), 'late');
  const last = await scratch.client();
  await last.request('unmount', { target: 'one' });
  last.close();
  assert.equal(await Promise.race([stopped, after(5_000)]), 'stopped');
  assert.deepEqual(scratch.logged.find(({ msg }) => msg === 'stopping')!.reason, 'idle');
});

test('only the owner’s user may connect, and the path of the store may have any length', async (t) => {
  const long = join(scratchDirectory(t), 'x'.repeat(200));
  mkdirSync(long);
  const engine = await StoreEngine.open(join(long, 'store'), { create: true });
  t.after(() => engine.close());
  const scratch = await ScratchOwner.start(t, { engine });
  assert.equal(statSync(scratch.place.socketPath).mode & 0o777, 0o600);
  const client = await scratch.client();
  assert.equal((await client.request('status', {})).store, engine.directory);
});

const notRoot = process.getuid?.() !== 0 && 'needs root, to become another user';

test('connecting as another user is EACCES, with a hint', { skip: notRoot }, async (t) => {
  const scratch = await ScratchOwner.start(t);
  const parent = dirname(scratch.engine.directory);
  const connectAsNobody = async (): Promise<OwnerClient | undefined> => {
    process.seteuid?.(65_534);
    try {
      return await OwnerClient.connect(scratch.engine.directory);
    } finally {
      process.seteuid?.(0);
    }
  };
  await assert.rejects(connectAsNobody(), fails('EACCES', /belongs to another user/), 'a closed directory');
  chmodSync(parent, 0o755);
  await assert.rejects(connectAsNobody(), fails('EACCES', /belongs to another user/), 'a closed socket');
});

test('an answer that does not come in time is ETIMEDOUT, and the connection goes on', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  let goOn: () => void = () => undefined;
  scratch.server.delay = new Promise((resolve) => {
    goOn = resolve;
  });
  const client = await scratch.client({ answerMs: 200 });
  await assert.rejects(
    client.request('mount', { fork: 'one', directory: PLACE }),
    fails('ETIMEDOUT', /has not answered for 0\.2 s/),
  );
  goOn();
  assert.equal((await client.request('status', {})).pid, process.pid);
});
