/** Cases of descriptors (closed, synced), and of the FileHandle of the promise forms. */
import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import {
  at,
  equalBytes,
  expectContent,
  expectError,
  expectNodeError,
  expectNodeRejection,
  expectRejection,
  patternBytes,
  permissionsOf,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsLike } from './subject.ts';

type DescriptorRow = readonly [syscall: string, call: (fs: FsLike, fd: number) => unknown];

const bytes = Buffer.alloc(4);

/** Every operation on a descriptor, with the system call that Node names in its errors. */
const descriptorRows: readonly DescriptorRow[] = [
  ['close', (fs, fd) => fs.closeSync(fd)],
  ['read', (fs, fd) => fs.readSync(fd, bytes)],
  ['write', (fs, fd) => fs.writeSync(fd, bytes)],
  ['write', (fs, fd) => fs.writevSync(fd, [bytes])],
  ['read', (fs, fd) => fs.readvSync(fd, [bytes])],
  ['fstat', (fs, fd) => fs.fstatSync(fd)],
  ['ftruncate', (fs, fd) => fs.ftruncateSync(fd, 0)],
  ['fsync', (fs, fd) => fs.fsyncSync(fd)],
  ['fdatasync', (fs, fd) => fs.fdatasyncSync(fd)],
  ['fchmod', (fs, fd) => fs.fchmodSync(fd, 0o600)],
  ['fchown', (fs, fd) => fs.fchownSync(fd, 0, 0)],
  ['futime', (fs, fd) => fs.futimesSync(fd, 1, 1)],
];

/** A descriptor that is never open: the number is above every limit of descriptors in use. */
const NEVER_OPEN = 2 ** 30;

const descriptorCases: ConformanceCase[] = descriptorRows.map(([syscall, call], index) => ({
  name: `${syscall} (${index}) of a descriptor that is not open is EBADF`,
  run(subject) {
    expectError(() => call(subject.fs, NEVER_OPEN), { code: 'EBADF', syscall });
  },
}));

const syncCases: ConformanceCase[] = [
  {
    name: 'a descriptor that was closed is EBADF',
    run(subject) {
      const fd = subject.fs.openSync(at(subject, 'file'), 'w');
      subject.fs.closeSync(fd);
      expectError(() => subject.fs.closeSync(fd), { code: 'EBADF', syscall: 'close' });
      expectError(() => subject.fs.fstatSync(fd), { code: 'EBADF', syscall: 'fstat' });
    },
  },
  {
    name: 'descriptors of another type are refused',
    run(subject) {
      for (const [, call] of descriptorRows) {
        expectNodeError(() => call(subject.fs, wrongType('1')), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => call(subject.fs, -1), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => call(subject.fs, 1.5), 'ERR_OUT_OF_RANGE');
      }
    },
  },
  {
    name: 'fsync and fdatasync of a file and of a directory',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        subject.fs.writeSync(fd, 'text');
        subject.fs.fsyncSync(fd);
        subject.fs.writeSync(fd, 'more');
        subject.fs.fdatasyncSync(fd);
      });
      expectContent(subject, 'file', 'textmore');
      const fd = subject.fs.openSync(subject.root, 'r');
      subject.fs.fsyncSync(fd);
      subject.fs.closeSync(fd);
    },
  },
];

const handleCases: ConformanceCase[] = [
  {
    name: 'a handle reads and writes, with and without positions',
    async run(subject) {
      const handle = await subject.fs.promises.open(at(subject, 'file'), 'w+');
      const data = patternBytes(6000);
      const written = await handle.write(data, 0, 6000, 0);
      assert.equal(written.bytesWritten, 6000);
      assert.equal(written.buffer, data);
      assert.equal((await handle.write('text', 10)).bytesWritten, 4);
      const target = Buffer.alloc(8);
      const result = await handle.read(target, 2, 4, 10);
      assert.equal(result.bytesRead, 4);
      assert.equal(result.buffer, target);
      assert.equal(target.toString('latin1'), '\0\0text\0\0');
      assert.equal((await handle.read({ position: 5998 })).bytesRead, 2);
      await handle.close();
    },
  },
  {
    name: 'readFile, writeFile, appendFile, readv, writev of a handle',
    async run(subject) {
      const handle = await subject.fs.promises.open(at(subject, 'file'), 'w+');
      await handle.writeFile('abc');
      await handle.appendFile('def');
      assert.equal((await handle.writev([Buffer.from('X'), Buffer.from('Y')], 1)).bytesWritten, 2);
      const [first, second] = [Buffer.alloc(2), Buffer.alloc(2)];
      assert.equal((await handle.readv([first, second], 0)).bytesRead, 4);
      assert.equal(`${first}${second}`, 'aXYd');
      assert.equal(await handle.readFile('utf8'), '');
      await handle.close();
      expectContent(subject, 'file', 'aXYdef');
    },
  },
  {
    name: 'stat, chmod, utimes, truncate, sync, datasync of a handle',
    async run(subject) {
      const handle = await subject.fs.promises.open(at(subject, 'file'), 'w', 0o600);
      await handle.writeFile('abcdef');
      await handle.truncate(3);
      await handle.chmod(0o640);
      await handle.utimes(1, 2);
      await handle.sync();
      await handle.datasync();
      const stat = await handle.stat();
      assert.deepEqual([stat.size, stat.mtimeMs], [3, 2000]);
      assert.equal((await handle.stat({ bigint: true })).size, 3n);
      await handle.close();
      assert.equal(permissionsOf(subject, 'file'), 0o640);
    },
  },
  {
    name: 'a closed handle has descriptor -1 and is EBADF',
    async run(subject) {
      const handle = await subject.fs.promises.open(at(subject, 'file'), 'w');
      assert.ok(handle.fd >= 0);
      await handle.close();
      assert.equal(handle.fd, -1);
      await assert.rejects(handle.stat(), { code: 'EBADF', message: 'file closed' });
      await assert.rejects(handle.readFile(), { code: 'EBADF' });
    },
  },
  {
    name: 'a handle closes itself at the end of its scope, and says so',
    async run(subject) {
      const handle = await subject.fs.promises.open(at(subject, 'file'), 'w');
      let isClosed = false;
      // The cast: a FileHandle is an EventEmitter, though the types of Node 20 do not say so.
      (handle as typeof handle & EventEmitter).on('close', () => {
        isClosed = true;
      });
      await handle[Symbol.asyncDispose]();
      assert.equal(handle.fd, -1);
      assert.ok(isClosed);
    },
  },
  {
    name: 'promises.open rejects with the shape of openSync',
    async run(subject) {
      const path = at(subject, 'missing');
      await expectRejection(() => subject.fs.promises.open(path, 'r'), {
        code: 'ENOENT',
        syscall: 'open',
        path,
      });
      await expectNodeRejection(() => subject.fs.promises.open(path, 'bad'), 'ERR_INVALID_ARG_VALUE');
      await expectNodeRejection(() => subject.fs.promises.open(wrongType(5), 'r'), 'ERR_INVALID_ARG_TYPE');
    },
  },
  {
    name: 'promises.readFile, writeFile, appendFile, truncate',
    async run(subject) {
      const { promises } = subject.fs;
      const path = at(subject, 'file');
      await promises.writeFile(path, patternBytes(5000));
      equalBytes(await promises.readFile(path), patternBytes(5000));
      await promises.truncate(path, 3);
      await promises.appendFile(path, 'é', 'latin1');
      assert.equal(await promises.readFile(path, 'latin1'), `${patternBytes(3).toString('latin1')}é`);
      await promises.writeFile(path, 'x', { flag: 'a' });
      assert.equal((await promises.stat(path)).size, 5);
      await expectRejection(() => promises.readFile(subject.root), { code: 'EISDIR', syscall: 'read' });
      const missing = at(subject, 'no');
      await expectRejection(() => promises.truncate(missing), {
        code: 'ENOENT',
        syscall: 'open',
        path: missing,
      });
    },
  },
  {
    name: 'promises.writeFile and readFile with a handle use its position',
    async run(subject) {
      const { promises } = subject.fs;
      const handle = await promises.open(at(subject, 'file'), 'w+');
      await promises.writeFile(handle, 'one');
      await promises.appendFile(handle, 'two');
      await handle.close();
      expectContent(subject, 'file', 'onetwo');
      const reader = await promises.open(at(subject, 'file'));
      await reader.read(Buffer.alloc(1), 0, 1, null);
      assert.equal(await promises.readFile(reader, 'utf8'), 'netwo');
      await reader.close();
    },
  },
  {
    name: 'writeFile takes an iterable of pieces',
    async run(subject) {
      function* pieces(): Generator<string> {
        yield 'a';
        yield 'b';
        yield 'c';
      }
      await subject.fs.promises.writeFile(at(subject, 'file'), pieces());
      expectContent(subject, 'file', 'abc');
    },
  },
  {
    name: 'an aborted signal stops readFile and writeFile',
    async run(subject) {
      const { promises } = subject.fs;
      subject.fs.writeFileSync(at(subject, 'file'), 'kept');
      const signal = AbortSignal.abort();
      await assert.rejects(promises.readFile(at(subject, 'file'), { signal }), { name: 'AbortError' });
      await assert.rejects(promises.writeFile(at(subject, 'file'), 'x', { signal }), { name: 'AbortError' });
      expectContent(subject, 'file', 'kept');
    },
  },
  {
    name: 'the lines of a handle',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'one\ntwo\nthree');
      const handle = await subject.fs.promises.open(at(subject, 'file'));
      const lines: string[] = [];
      for await (const line of handle.readLines()) lines.push(line);
      assert.deepEqual(lines, ['one', 'two', 'three']);
    },
  },
  {
    name: 'streams of a handle read a range and write at a place',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdefgh');
      const reader = await subject.fs.promises.open(at(subject, 'file'));
      let text = '';
      for await (const chunk of reader.createReadStream({ start: 2, end: 4, encoding: 'utf8' }))
        text += chunk;
      assert.equal(text, 'cde');
      const writer = await subject.fs.promises.open(at(subject, 'file'), 'r+');
      const stream = writer.createWriteStream({ start: 1 });
      await new Promise<void>((resolve, reject) => {
        stream.on('error', reject);
        stream.on('close', () => resolve());
        stream.end('XY');
      });
      expectContent(subject, 'file', 'aXYdefgh');
    },
  },
];

export const handlesGroup: CaseGroup = {
  name: 'handles',
  cases: [...descriptorCases, ...syncCases, ...handleCases],
};
