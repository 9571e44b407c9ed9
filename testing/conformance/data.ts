/** The bytes of a file: read, write, holes, readFile, writeFile, appendFile. */
import assert from 'node:assert/strict';
import {
  at,
  equalBytes,
  expectContent,
  expectError,
  expectNodeError,
  patternBytes,
  permissionsOf,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

const BLOCK = 4096;

function readRange(subject: FsSubject, relative: string, position: number, length: number): Buffer {
  return withFile(subject, relative, 'r', (fd) => {
    const bytes = Buffer.alloc(length);
    const count = subject.fs.readSync(fd, bytes, 0, length, position);
    return bytes.subarray(0, count);
  });
}

const readCases: ConformanceCase[] = [
  {
    name: 'reads continue where the last one ended, and a read at a position does not change that',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdefghij');
      withFile(subject, 'file', 'r', (fd) => {
        const two = Buffer.alloc(2);
        const next = (position: number | null): string => {
          subject.fs.readSync(fd, two, 0, 2, position);
          return two.toString();
        };
        assert.deepEqual([next(null), next(8), next(null), next(-1)], ['ab', 'ij', 'cd', 'ef']);
      });
    },
  },
  {
    name: 'a read past the end returns what there is, then 0',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      withFile(subject, 'file', 'r', (fd) => {
        const bytes = Buffer.alloc(10, '-');
        assert.equal(subject.fs.readSync(fd, bytes, 0, 10, 1), 2);
        assert.equal(bytes.toString(), 'bc--------');
        assert.equal(subject.fs.readSync(fd, bytes, 0, 10, 3), 0);
        assert.equal(subject.fs.readSync(fd, bytes, 0, 10, 1_000_000), 0);
        assert.equal(bytes.toString(), 'bc--------');
      });
    },
  },
  {
    name: 'a read fills only the part of the buffer that was named',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdef');
      withFile(subject, 'file', 'r', (fd) => {
        const bytes = Buffer.alloc(8, '-');
        assert.equal(subject.fs.readSync(fd, bytes, 2, 3, 1), 3);
        assert.equal(bytes.toString(), '--bcd---');
        assert.equal(subject.fs.readSync(fd, bytes, { offset: 6, position: 0 }), 2);
        assert.equal(bytes.toString(), '--bcd-ab');
      });
    },
  },
  {
    name: 'a position may be a bigint',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdef');
      withFile(subject, 'file', 'r', (fd) => {
        const bytes = Buffer.alloc(2);
        subject.fs.readSync(fd, bytes, 0, 2, 3n);
        assert.equal(bytes.toString(), 'de');
      });
    },
  },
  {
    name: 'read fills views other than Buffer: Uint16Array, DataView',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), Buffer.from([1, 2, 3, 4]));
      withFile(subject, 'file', 'r', (fd) => {
        const words = new Uint16Array(2);
        assert.equal(subject.fs.readSync(fd, words, 0, 4, 0), 4);
        assert.deepEqual([...new Uint8Array(words.buffer)], [1, 2, 3, 4]);
        const view = new DataView(new ArrayBuffer(6), 1, 3);
        assert.equal(subject.fs.readSync(fd, view, 0, 3, 1), 3);
        assert.deepEqual([...new Uint8Array(view.buffer)], [0, 2, 3, 4, 0, 0]);
      });
    },
  },
  {
    name: 'readv fills buffers one after the other and stops at the end',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdefg');
      withFile(subject, 'file', 'r', (fd) => {
        const [first, second, third] = [Buffer.alloc(3), Buffer.alloc(2), Buffer.alloc(5, '-')];
        assert.equal(subject.fs.readvSync(fd, [first, second, third]), 7);
        assert.deepEqual([first, second, third].map(String), ['abc', 'de', 'fg---']);
        assert.equal(subject.fs.readvSync(fd, [first, second], 2), 5);
        assert.deepEqual([first, second].map(String), ['cde', 'fg']);
      });
    },
  },
  {
    name: 'a read returns what another descriptor has just written',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'aaaa');
      withFile(subject, 'file', 'r', (reader) => {
        withFile(subject, 'file', 'r+', (writer) => {
          const bytes = Buffer.alloc(4);
          subject.fs.readSync(reader, bytes, 0, 4, 0);
          subject.fs.writeSync(writer, 'bb', 1);
          subject.fs.readSync(reader, bytes, 0, 4, 0);
          assert.equal(bytes.toString(), 'abba');
        });
      });
    },
  },
  {
    name: 'arguments of read are checked',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      withFile(subject, 'file', 'r', (fd) => {
        const bytes = Buffer.alloc(4);
        expectNodeError(() => subject.fs.readSync(fd, bytes, 2, 3, 0), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.readSync(fd, bytes, -1, 1, 0), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.readSync(fd, bytes, 0, 1, 0.5), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.readSync(fd, bytes, 0, 1, wrongType('0')), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => subject.fs.readSync(fd, wrongType('text')), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => subject.fs.readSync(fd, Buffer.alloc(0), 0, 1, 0), 'ERR_INVALID_ARG_VALUE');
        expectNodeError(() => subject.fs.readSync(wrongType('3'), bytes), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => subject.fs.readSync(-1, bytes), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.readvSync(fd, wrongType(bytes)), 'ERR_INVALID_ARG_TYPE');
      });
    },
  },
];

const writeCases: ConformanceCase[] = [
  {
    name: 'writes continue where the last one ended, and a write at a position does not change that',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        assert.equal(subject.fs.writeSync(fd, 'abc'), 3);
        assert.equal(subject.fs.writeSync(fd, 'X', 1), 1);
        assert.equal(subject.fs.writeSync(fd, Buffer.from('12345'), 1, 3), 3);
        assert.equal(subject.fs.writeSync(fd, Buffer.from('z'), 0, 1, 0), 1);
      });
      expectContent(subject, 'file', 'zXc234');
    },
  },
  {
    name: 'write encodes text as asked',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        assert.equal(subject.fs.writeSync(fd, 'é'), 2);
        assert.equal(subject.fs.writeSync(fd, 'é', null, 'latin1'), 1);
        assert.equal(subject.fs.writeSync(fd, '00ff', null, 'hex'), 2);
        assert.equal(subject.fs.writeSync(fd, 'YQ==', null, 'base64'), 1);
      });
      expectContent(subject, 'file', Buffer.from([0xc3, 0xa9, 0xe9, 0x00, 0xff, 0x61]));
    },
  },
  {
    name: 'writev writes buffers one after the other, also at a position',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        assert.equal(subject.fs.writevSync(fd, [Buffer.from('ab'), Buffer.from(''), Buffer.from('cde')]), 5);
        assert.equal(subject.fs.writevSync(fd, [Buffer.from('X'), new Uint8Array([0x59])], 1), 2);
        assert.equal(subject.fs.writevSync(fd, [Buffer.from('f')]), 1);
      });
      expectContent(subject, 'file', 'aXYdef');
    },
  },
  {
    name: 'writing nothing changes nothing',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      withFile(subject, 'file', 'r+', (fd) => {
        assert.equal(subject.fs.writeSync(fd, ''), 0);
        assert.equal(subject.fs.writeSync(fd, Buffer.alloc(0), 0, 0, 100), 0);
        assert.equal(subject.fs.fstatSync(fd).size, 3);
      });
    },
  },
  {
    name: 'arguments of write are checked',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        const bytes = Buffer.alloc(4);
        expectNodeError(() => subject.fs.writeSync(fd, bytes, 5), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.writeSync(fd, bytes, 2, 3), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.writeSync(fd, bytes, 0, -1), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.writeSync(fd, wrongType(5)), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => subject.fs.writeSync(fd, wrongType({})), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => subject.fs.writevSync(fd, wrongType([1])), 'ERR_INVALID_ARG_TYPE');
        assert.equal(subject.fs.fstatSync(fd).size, 0);
      });
    },
  },
];

/** Position and length of a write over a file of three blocks less ten bytes. */
const overwriteRows = [
  [0, 1],
  [0, BLOCK],
  [BLOCK - 1, 2],
  [BLOCK, BLOCK],
  [BLOCK - 1, BLOCK + 2],
  [1, 3 * BLOCK - 12],
  [3 * BLOCK - 11, 1],
  [3 * BLOCK - 11, 20],
  [3 * BLOCK - 10, BLOCK],
  [5 * BLOCK + 7, 9],
] as const;

const overwriteCases = overwriteRows.map(
  ([position, length]): ConformanceCase => ({
    name: `an overwrite of ${length} bytes at ${position} changes those bytes and no others`,
    run(subject) {
      const before = patternBytes(3 * BLOCK - 10);
      const written = patternBytes(length, 1);
      subject.fs.writeFileSync(at(subject, 'file'), before);
      withFile(subject, 'file', 'r+', (fd) => void subject.fs.writeSync(fd, written, 0, length, position));
      const expected = Buffer.alloc(Math.max(before.length, position + length));
      expected.set(before);
      expected.set(written, position);
      expectContent(subject, 'file', expected);
    },
  }),
);

const holeCases: ConformanceCase[] = [
  {
    name: 'a write far beyond the end of a file leaves zeros in between',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        subject.fs.writeSync(fd, 'start');
        subject.fs.writeSync(fd, 'end', 1_000_000);
      });
      assert.equal(subject.fs.statSync(at(subject, 'file')).size, 1_000_003);
      equalBytes(readRange(subject, 'file', 5, 10_000), Buffer.alloc(10_000));
      equalBytes(readRange(subject, 'file', 999_990, 20), Buffer.from(`${'\0'.repeat(10)}end`));
    },
  },
  {
    name: 'a hole takes no blocks',
    needs: ['sparseBlocks'],
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        subject.fs.ftruncateSync(fd, 1 << 30);
        subject.fs.writeSync(fd, 'x', 1 << 29);
      });
      const { size, blocks } = subject.fs.statSync(at(subject, 'file'));
      assert.equal(size, 1 << 30);
      assert.ok(blocks * 512 <= 16 * BLOCK, `${blocks} blocks`);
    },
  },
  {
    name: 'a size of more than 4 GiB is kept exactly',
    run(subject) {
      const position = 5 * 2 ** 30 + 3;
      withFile(subject, 'file', 'w+', (fd) => {
        subject.fs.writeSync(fd, 'far', position);
        assert.equal(subject.fs.fstatSync(fd).size, position + 3);
        const bytes = Buffer.alloc(4);
        assert.equal(subject.fs.readSync(fd, bytes, 0, 4, position - 1), 4);
        assert.equal(bytes.toString('latin1'), '\0far');
      });
    },
  },
  {
    name: 'a write inside one block of a hole keeps the zeros around it',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        subject.fs.ftruncateSync(fd, 3 * BLOCK);
        subject.fs.writeSync(fd, 'middle', BLOCK + 100);
      });
      const expected = Buffer.alloc(3 * BLOCK);
      expected.write('middle', BLOCK + 100);
      expectContent(subject, 'file', expected);
    },
  },
];

const wholeFileCases: ConformanceCase[] = [
  {
    name: 'writeFile creates, replaces and shortens a file',
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, patternBytes(9000));
      expectContent(subject, 'file', patternBytes(9000));
      subject.fs.writeFileSync(path, 'short');
      expectContent(subject, 'file', 'short');
    },
  },
  {
    name: 'writeFile takes text with an encoding, views, flags and a mode',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'é', 'latin1');
      expectContent(subject, 'a', Buffer.from([0xe9]));
      subject.fs.writeFileSync(at(subject, 'b'), new Uint16Array([0x6261]), { mode: 0o640, flag: 'wx' });
      expectContent(subject, 'b', 'ab');
      assert.equal(permissionsOf(subject, 'b'), 0o640 & ~subject.umask);
      expectError(() => subject.fs.writeFileSync(at(subject, 'b'), '', { flag: 'wx' }), { code: 'EEXIST' });
      subject.fs.writeFileSync(at(subject, 'b'), 'c', { flag: 'a' });
      expectContent(subject, 'b', 'abc');
    },
  },
  {
    name: 'readFile returns text in the encoding asked for, else a Buffer',
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, 'aé€');
      assert.equal(subject.fs.readFileSync(path, 'utf8'), 'aé€');
      assert.equal(subject.fs.readFileSync(path, { encoding: 'hex' }), '61c3a9e282ac');
      assert.equal(subject.fs.readFileSync(path, 'base64'), Buffer.from('aé€').toString('base64'));
      assert.ok(Buffer.isBuffer(subject.fs.readFileSync(path)));
      assert.ok(Buffer.isBuffer(subject.fs.readFileSync(path, {})));
    },
  },
  {
    name: 'readFile of a descriptor reads from its position to the end',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdef');
      withFile(subject, 'file', 'r', (fd) => {
        subject.fs.readSync(fd, Buffer.alloc(2));
        assert.equal(subject.fs.readFileSync(fd, 'latin1'), 'cdef');
        assert.equal(subject.fs.readFileSync(fd, 'latin1'), '');
      });
    },
  },
  {
    name: 'writeFile to a descriptor writes at its position and truncates nothing',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abcdef');
      withFile(subject, 'file', 'r+', (fd) => {
        subject.fs.writeFileSync(fd, 'XY');
        subject.fs.appendFileSync(fd, 'Z');
      });
      expectContent(subject, 'file', 'XYZdef');
    },
  },
  {
    name: 'appendFile creates a file and appends to it',
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.appendFileSync(path, 'one');
      subject.fs.appendFileSync(path, Buffer.from('two'));
      subject.fs.appendFileSync(path, 'é', { encoding: 'latin1' });
      expectContent(subject, 'file', 'onetwo\xe9');
    },
  },
  {
    name: 'readFile and writeFile of a directory fail with EISDIR',
    run(subject) {
      expectError(() => subject.fs.readFileSync(subject.root), { code: 'EISDIR', syscall: 'read' });
      const path = subject.root;
      expectError(() => subject.fs.writeFileSync(path, ''), { code: 'EISDIR', syscall: 'open', path });
    },
  },
  {
    name: 'data that cannot be written is refused before anything changes',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'kept');
      expectNodeError(
        () => subject.fs.writeFileSync(at(subject, 'file'), wrongType(5)),
        'ERR_INVALID_ARG_TYPE',
      );
      expectNodeError(
        () => subject.fs.writeFileSync(at(subject, 'file'), wrongType({})),
        'ERR_INVALID_ARG_TYPE',
      );
      expectNodeError(
        () => subject.fs.readFileSync(at(subject, 'file'), wrongType('no')),
        'ERR_INVALID_ARG_VALUE',
      );
      expectContent(subject, 'file', 'kept');
    },
  },
  {
    name: '3 MiB are written and read back in odd pieces',
    run(subject) {
      const bytes = patternBytes(3 * 2 ** 20 + 77);
      withFile(subject, 'file', 'w', (fd) => {
        for (let done = 0; done < bytes.length; ) {
          done += subject.fs.writeSync(fd, bytes, done, Math.min(100_003, bytes.length - done), null);
        }
      });
      expectContent(subject, 'file', bytes);
      equalBytes(
        readRange(subject, 'file', 2 ** 20 - 1, 2 ** 20 + 2),
        bytes.subarray(2 ** 20 - 1, 2 ** 21 + 1),
      );
    },
  },
];

export const dataGroup: CaseGroup = {
  name: 'data',
  cases: [...readCases, ...writeCases, ...overwriteCases, ...holeCases, ...wholeFileCases],
};
