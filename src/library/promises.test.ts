/** The promise forms and FileHandle. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { openTestTree } from '../../testing/stores/node-fs-fixture.ts';
import { createNodeFs } from './fs.ts';

test('a handle reads and writes at given positions and at its own, truncates, and changes attributes', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  await using handle = await fs.promises.open('/file', 'w+', 0o600);
  assert.deepEqual(await handle.write('hello '), { bytesWritten: 6, buffer: 'hello ' });
  await handle.write(Buffer.from('..world'), 2);
  assert.deepEqual((await handle.read(Buffer.alloc(5), 0, 5, 6)).buffer, Buffer.from('world'));
  const { bytesRead, buffer } = await handle.read({ buffer: Buffer.alloc(4), position: 1n });
  assert.deepEqual([bytesRead, buffer.toString()], [4, 'ello']);
  assert.equal((await handle.read()).bytesRead, 0, 'the position is at the end');
  await handle.truncate(5);
  assert.equal((await handle.stat()).size, 5);
  assert.equal((await handle.stat({ bigint: true })).size, 5n);
  await handle.chmod(0o640);
  await handle.utimes(1, 2);
  await handle.chown(3, 4);
  await handle.sync();
  await handle.datasync();
  const stats = fs.statSync('/file');
  assert.deepEqual([stats.mode & 0o777, stats.mtimeMs, stats.uid, stats.gid], [0o640, 2000, 3, 4]);
  const vector = await handle.writev([Buffer.from('ab'), Buffer.from('cd')], 0);
  assert.equal(vector.bytesWritten, 4);
  const pieces = [Buffer.alloc(1), Buffer.alloc(9)];
  assert.equal((await handle.readv(pieces, 0)).bytesRead, 5);
  assert.deepEqual(pieces.map(String), ['a', 'bcdo\0\0\0\0\0']);
});

test('a handle is a descriptor of the synchronous calls too, and both see it closed', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const handle = await fs.promises.open('/file', 'w+');
  let isTold = false;
  assert.ok(handle instanceof EventEmitter);
  handle.on('close', () => {
    isTold = true;
  });
  const { fd } = handle;
  fs.writeSync(fd, 'text');
  assert.equal(await handle.readFile('utf8'), '', 'from the position on');
  await handle.close();
  assert.ok(isTold);
  assert.equal(handle.fd, -1);
  assert.throws(() => fs.fstatSync(fd), { code: 'EBADF', syscall: 'fstat' });
  await assert.rejects(handle.sync(), { message: 'file closed', code: 'EBADF', syscall: 'fsync' });
});

test('a handle reads and writes whole files', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  await using handle = await fs.promises.open('/file', 'a+');
  await handle.writeFile('one');
  await handle.appendFile(Buffer.from('two'));
  await fs.promises.appendFile(handle, 'three');
  assert.equal(fs.readFileSync('/file', 'utf8'), 'onetwothree');
  await using reader = await fs.promises.open('/file');
  assert.equal(await fs.promises.readFile(reader, 'utf8'), 'onetwothree');
});

test('a handle gives its lines', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/lines', 'a\r\nb\nc');
  const handle = await fs.promises.open('/lines');
  const lines: string[] = [];
  for await (const line of handle.readLines()) lines.push(line);
  assert.deepEqual(lines, ['a', 'b', 'c']);
});

test('writeFile takes iterables, asynchronous and not, and text in pieces', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  await fs.promises.writeFile('/sync', ['a', 'b', 'ü']);
  assert.equal(fs.readFileSync('/sync', 'utf8'), 'abü');
  const pieces = async function* () {
    yield Buffer.from('x');
    await Promise.resolve();
    yield 'y';
  };
  await fs.promises.writeFile('/async', pieces(), { flush: true });
  assert.equal(fs.readFileSync('/async', 'utf8'), 'xy');
});

test('an aborted signal rejects and touches nothing', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const signal = AbortSignal.abort(new Error('enough'));
  const expected = { name: 'AbortError', code: 'ABORT_ERR' };
  await assert.rejects(fs.promises.writeFile('/file', 'x', { signal }), expected);
  assert.ok(!fs.existsSync('/file'));
  fs.writeFileSync('/file', 'x');
  await assert.rejects(fs.promises.readFile('/file', { signal }), expected);
});

test('an abort between two pieces ends writeFile', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const controller = new AbortController();
  const pieces = async function* () {
    yield 'first';
    controller.abort();
    yield 'second';
  };
  const written = fs.promises.writeFile('/file', pieces(), { signal: controller.signal });
  await assert.rejects(written, { name: 'AbortError' });
  assert.equal(fs.readFileSync('/file', 'utf8'), 'first');
});

test('reads that would wait are done in a later turn of the event loop, and give the same bytes', async () => {
  await using tree = await openTestTree();
  const bytes = Buffer.alloc(1_300_000, 'pattern');
  tree.fs.writeFileSync('/large', bytes);
  const cold: typeof tree.fileSystem = Object.create(tree.fileSystem, { tryRead: { value: () => -1 } });
  const { fs } = createNodeFs(cold);
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns++;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  assert.deepEqual(await fs.promises.readFile('/large'), bytes);
  isDone = true;
  assert.ok(turns >= 3, `three pieces, ${turns} turns of the event loop in between`);
  await using handle = await fs.promises.open('/large');
  const first = await handle.read(Buffer.alloc(10), 0, 10);
  const second = await handle.read(Buffer.alloc(10), 0, 10);
  assert.deepEqual(Buffer.concat([first.buffer, second.buffer]), bytes.subarray(0, 20));
});

test('a close waits for calls that have begun', async () => {
  await using tree = await openTestTree();
  tree.fs.writeFileSync('/file', 'content');
  const cold: typeof tree.fileSystem = Object.create(tree.fileSystem, { tryRead: { value: () => -1 } });
  const { fs } = createNodeFs(cold);
  const handle = await fs.promises.open('/file');
  const { fd } = handle;
  const read = handle.read(Buffer.alloc(7), 0, 7, 0);
  const whole = handle.readFile('utf8');
  const closed = handle.close();
  assert.equal(handle.fd, -1);
  await assert.rejects(handle.stat(), { message: 'file closed' });
  assert.equal(fs.fstatSync(fd).size, 7, 'still open below');
  assert.equal((await read).buffer.toString(), 'content');
  assert.equal(await whole, 'content');
  await closed;
  assert.throws(() => fs.fstatSync(fd), { code: 'EBADF' });
});

test('wrong arguments reject, they do not throw', async () => {
  await using tree = await openTestTree();
  const { promises } = tree.fs;
  // The cast passes what the types forbid: the call must refuse it at run time.
  const wrong = 5 as never;
  const calls = [
    () => promises.stat(wrong),
    () => promises.open(wrong),
    () => promises.readFile('/f', wrong),
    () => promises.mkdir('/d', { recursive: wrong }),
    () => promises.cp(wrong, '/x'),
    () => promises.rename('/a', wrong),
    () => promises.truncate('/', wrong),
  ];
  for (const call of calls) {
    const promise = call();
    await assert.rejects(promise);
  }
});
