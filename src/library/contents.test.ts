/** readFile, writeFile and appendFile: encodings, flags, and what they refuse. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import { setUmask } from '../../testing/stores/act-as.ts';
import { openTestTree } from '../../testing/stores/node-fs-fixture.ts';

const { O_APPEND, O_CREAT, O_TRUNC, O_WRONLY } = constants;

/** Bytes in which every position differs from its neighbours. */
function pattern(lengthBytes: number): Buffer {
  return Buffer.from(Array.from({ length: lengthBytes }, (_, index) => (index * 7 + (index >> 8)) & 0xff));
}

test('writeFile leaves exactly the new content, be it longer, shorter, as long or empty', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  for (const before of [0, 1, 4096, 5000, 20_000]) {
    for (const after of [0, 1, 4095, 4096, 5000, 12_288, 20_000]) {
      fs.writeFileSync('/file', pattern(before).fill(1));
      fs.writeFileSync('/file', pattern(after));
      assert.deepEqual(fs.readFileSync('/file'), pattern(after), `${before} bytes, then ${after}`);
      assert.equal(fs.statSync('/file').size, after);
    }
  }
});

test('writeFile keeps the inode, and with it hard links and open descriptors', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/a', 'a long old text');
  fs.linkSync('/a', '/b');
  const fd = fs.openSync('/b', 'r');
  fs.writeFileSync('/a', 'new');
  assert.equal(fs.readFileSync('/b', 'utf8'), 'new');
  assert.equal(fs.readFileSync(fd, 'utf8'), 'new');
  assert.equal(fs.statSync('/a').nlink, 2);
  fs.closeSync(fd);
});

test('text that fits in the reused buffer, and longer text, is read as written, in several encodings', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  for (const length of [0, 10, 21_845, 21_846, 65_536, 100_000]) {
    const text = `${'äa€'.repeat(Math.ceil(length / 3)).slice(0, length)}😀`;
    fs.writeFileSync('/text', text);
    assert.equal(fs.readFileSync('/text', 'utf8'), text);
    assert.equal(fs.readFileSync('/text', { encoding: 'utf-8' }), text);
  }
  fs.writeFileSync('/hex', '00ff7f', 'hex');
  assert.deepEqual(fs.readFileSync('/hex'), Buffer.from([0, 255, 127]));
  assert.equal(fs.readFileSync('/hex', 'base64'), 'AP9/');
  fs.writeFileSync('/words', new Uint16Array([0x4142, 0x4344]));
  assert.equal(fs.readFileSync('/words', 'latin1'), 'BADC');
});

test('buffers of short files do not overlap', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const sizes = [1, 4095, 4096, 4097, 8192, 8193, 3];
  for (const size of sizes) fs.writeFileSync(`/${size}`, Buffer.alloc(size, size & 0xff));
  const read = Array.from({ length: 20 }, () => sizes.map((size) => fs.readFileSync(`/${size}`))).flat();
  for (const [index, bytes] of read.entries()) {
    const size = sizes[index % sizes.length]!;
    assert.deepEqual(bytes, Buffer.alloc(size, size & 0xff));
  }
});

test('readFile and writeFile of a descriptor start at its position', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/file', '0123456789');
  const fd = fs.openSync('/file', 'r+');
  fs.readSync(fd, Buffer.alloc(4), 0, 4, null);
  assert.equal(fs.readFileSync(fd, 'utf8'), '456789');
  assert.equal(fs.readFileSync(fd, 'utf8'), '');
  fs.writeFileSync(fd, 'ab');
  assert.equal(fs.readFileSync('/file', 'utf8'), '0123456789ab');
  fs.closeSync(fd);
});

test('appendFile appends, makes missing files, and takes numbers as flags', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.appendFileSync('/log', 'one\n');
  fs.appendFileSync('/log', Buffer.from('two\n'));
  fs.writeFileSync('/log', 'three\n', { flag: 'a' });
  assert.equal(fs.readFileSync('/log', 'utf8'), 'one\ntwo\nthree\n');
  // Node accepts numbers as flags, but its types allow only strings.
  const cutAndAppend = { flag: String(O_WRONLY | O_CREAT | O_TRUNC | O_APPEND) };
  Object.assign(cutAndAppend, { flag: Number(cutAndAppend.flag) });
  fs.writeFileSync('/log', 'x', cutAndAppend);
  assert.equal(fs.readFileSync('/log', 'utf8'), 'x');
});

test('mode applies to new files only, less the umask, and flush is accepted', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  setUmask(tree.fileSystem, 0o022);
  fs.writeFileSync('/new', 'x', { mode: 0o777, flush: true });
  assert.equal(fs.statSync('/new').mode & 0o777, 0o755);
  fs.writeFileSync('/new', 'y', { mode: 0o600 });
  assert.equal(fs.statSync('/new').mode & 0o777, 0o755, 'the mode of an existing file stays');
});

test('a failed writeFile closes its file', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/d');
  for (let round = 0; round < 3; round++) {
    assert.throws(() => fs.writeFileSync('/d', 'x'), { code: 'EISDIR' });
    assert.throws(() => fs.readFileSync('/d'), { code: 'EISDIR', syscall: 'read' });
  }
  fs.rmdirSync('/d');
  assert.equal(tree.fileSystem.tryStat('/d', true), undefined);
});
