/** createReadStream and createWriteStream over a fork. */
import assert from 'node:assert/strict';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { openTestTree } from '../../testing/stores/node-fs-fixture.ts';

test('a large file passes through a read stream into a write stream', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const bytes = Buffer.alloc(300_001, 'some pattern');
  fs.writeFileSync('/from', bytes);
  await pipeline(fs.createReadStream('/from'), fs.createWriteStream('/to'));
  assert.deepEqual(fs.readFileSync('/to'), bytes);
  assert.deepEqual(await buffer(fs.createReadStream('/to')), bytes);
});

test('streams obey start, end, encoding and flags', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/file', '0123456789');
  assert.equal(await text(fs.createReadStream('/file', { start: 2, end: 5 })), '2345');
  const pieces: unknown[] = [];
  for await (const piece of fs.createReadStream('/file', { encoding: 'utf8', highWaterMark: 4 })) {
    pieces.push(piece);
  }
  assert.deepEqual(pieces, ['0123', '4567', '89']);
  const stream = fs.createWriteStream('/file', { flags: 'r+', start: 3 });
  await pipeline(['ab'], stream);
  assert.equal(fs.readFileSync('/file', 'utf8'), '012ab56789');
  await pipeline(['!'], fs.createWriteStream('/file', { flags: 'a' }));
  assert.equal(fs.readFileSync('/file', 'utf8'), '012ab56789!');
});

test('a missing file is an error event with path and system call', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  await assert.rejects(text(fs.createReadStream('/no')), {
    message: "ENOENT: no such file or directory, open '/no'",
    syscall: 'open',
  });
  // The cast passes what the types forbid: the call must refuse it at run time.
  assert.throws(() => fs.createReadStream(5 as never), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('streams over a descriptor and over a handle close it', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/file', 'content');
  const fd = fs.openSync('/file', 'r');
  assert.equal(await text(fs.createReadStream('', { fd })), 'content');
  const handle = await fs.promises.open('/file', 'r');
  assert.equal(await text(handle.createReadStream()), 'content');
  const writer = await fs.promises.open('/file', 'w');
  await pipeline(['new'], writer.createWriteStream());
  assert.equal(fs.readFileSync('/file', 'utf8'), 'new');
  await new Promise((resolve) => setImmediate(resolve));
  assert.throws(() => fs.fstatSync(fd), { code: 'EBADF' });
  assert.equal(handle.fd, -1);
  assert.equal(writer.fd, -1);
});
