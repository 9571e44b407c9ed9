/** The callback forms answer like those of node:fs, and never call back before they return. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { openTestTree } from '../../testing/stores/node-fs-fixture.ts';

type Told = { isLater: boolean; args: unknown[] };

/** The arguments that a callback received, and whether the call had returned by then. */
function told(call: (callback: (...args: unknown[]) => void) => void): Promise<Told> {
  return new Promise((resolve) => {
    let isLater = false;
    call((...args) => resolve({ isLater, args }));
    isLater = true;
  });
}

test('a callback gets errors first, and only after the call has returned', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const written = await told((callback) => fs.writeFile('/file', 'text', callback));
  assert.deepEqual(written, { isLater: true, args: [null] });
  const read = await told((callback) => fs.readFile('/file', 'utf8', callback));
  assert.deepEqual(read, { isLater: true, args: [null, 'text'] });
  const missing = await told((callback) => fs.stat('/no', callback));
  assert.ok(missing.isLater);
  const [error] = missing.args;
  assert.ok(error instanceof Error);
  assert.equal(error.message, "ENOENT: no such file or directory, stat '/no'");
  const made = await told((callback) => fs.mkdir('/a/b', { recursive: true }, callback));
  assert.deepEqual(made.args, [null, '/a']);
});

test('wrong arguments throw at once', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  // The cast passes what the types forbid: the call must refuse it at run time.
  const wrong = 5 as never;
  const callback = () => assert.fail('nothing is told');
  assert.throws(() => fs.readFile(wrong, wrong), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => fs.stat('/', wrong), { code: 'ERR_INVALID_ARG_TYPE', message: /"cb" argument/ });
  assert.throws(() => fs.mkdir('/x', { recursive: wrong }, callback), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => fs.close(-1, callback), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => fs.exists('/', wrong), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('read and write pass a count and the buffer', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const fd = fs.openSync('/file', 'w+');
  const bytes = Buffer.from('hello');
  assert.deepEqual((await told((callback) => fs.write(fd, bytes, callback))).args, [null, 5, bytes]);
  assert.deepEqual((await told((callback) => fs.write(fd, 'ü', 5, 'utf8', callback))).args, [null, 2, 'ü']);
  const target = Buffer.alloc(3);
  const read = await told((callback) => fs.read(fd, target, 0, 3, 1, callback));
  assert.deepEqual(read.args, [null, 3, Buffer.from('ell')]);
  assert.equal(read.args[2], target);
  const withOptions = await told((callback) => fs.read(fd, { buffer: target, position: 0 }, callback));
  assert.deepEqual(withOptions.args, [null, 3, Buffer.from('hel')]);
  const withoutBuffer = await told((callback) => fs.read(fd, callback));
  assert.equal((withoutBuffer.args[2] as Buffer).length, 16_384);
  const failed = await told((callback) => fs.read(7, target, 0, 3, 0, callback));
  assert.deepEqual(failed.args.slice(1), [0, target]);
  const pieces = [Buffer.alloc(1), Buffer.alloc(2)];
  assert.deepEqual((await told((callback) => fs.readv(fd, pieces, 0, callback))).args, [null, 3, pieces]);
  assert.deepEqual((await told((callback) => fs.close(fd, callback))).args, [null]);
});

test('promisify gives objects for read and write, and an answer for exists', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const fd = fs.openSync('/file', 'w+');
  const bytes = Buffer.from('abc');
  assert.deepEqual(await promisify(fs.write)(fd, bytes), { bytesWritten: 3, buffer: bytes });
  const target = Buffer.alloc(2);
  assert.deepEqual(await promisify(fs.read)(fd, target, 0, 2, 0), { bytesRead: 2, buffer: target });
  assert.equal(await promisify(fs.exists)('/file'), true);
  assert.equal(await promisify(fs.exists)('/no'), false);
  assert.equal(await promisify(fs.readFile)('/file', 'utf8'), 'abc');
  fs.closeSync(fd);
});

test('realpath, opendir and cp take a callback', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/d/sub', { recursive: true });
  fs.symlinkSync('d', '/link');
  assert.deepEqual((await told((done) => fs.realpath('/link/sub', done))).args, [null, '/d/sub']);
  assert.deepEqual((await told((done) => fs.realpath.native('/link', done))).args, [null, '/d']);
  assert.deepEqual((await told((done) => fs.cp('/d', '/copy', { recursive: true }, done))).args, [null]);
  assert.deepEqual(fs.readdirSync('/copy'), ['sub']);
  const [error, directory] = (await told((done) => fs.opendir('/d', done))).args;
  assert.equal(error, null);
  assert.equal((directory as { path: string }).path, '/d');
});

test('functions work without their object, and have the names of Node', async () => {
  await using tree = await openTestTree();
  const { writeFileSync, readFile, statSync, promises } = tree.fs;
  writeFileSync('/file', 'x');
  assert.equal(statSync('/file').size, 1);
  assert.equal((await promises.stat('/file')).size, 1);
  assert.equal(statSync.name, 'statSync');
  assert.equal(readFile.name, 'readFile');
});
