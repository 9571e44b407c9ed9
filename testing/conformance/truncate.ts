/** truncate(2) and ftruncate(2): shrinking, growing, and the bytes that a file has afterwards. */
import assert from 'node:assert/strict';
import {
  at,
  expectContent,
  expectError,
  expectNodeError,
  patternBytes,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase } from './subject.ts';

const BLOCK = 4096;

/** The size of a file, and the size to which it is truncated. */
const truncateRows = [
  [10, 5],
  [10, 0],
  [10, 20],
  [BLOCK, BLOCK - 1],
  [BLOCK, BLOCK + 1],
  [BLOCK + 1, BLOCK],
  [3 * BLOCK, BLOCK + 100],
  [3 * BLOCK - 5, 3 * BLOCK],
  [2 * BLOCK + 5, 10 * BLOCK],
  [0, BLOCK * 2],
] as const;

const truncateCases = truncateRows.map(
  ([from, to]): ConformanceCase => ({
    name: `truncate from ${from} to ${to} and back: what was cut off is zero`,
    run(subject) {
      const bytes = patternBytes(from);
      subject.fs.writeFileSync(at(subject, 'file'), bytes);
      subject.fs.truncateSync(at(subject, 'file'), to);
      const expected = Buffer.alloc(to);
      expected.set(bytes.subarray(0, Math.min(from, to)));
      expectContent(subject, 'file', expected);
      withFile(subject, 'file', 'r+', (fd) => subject.fs.ftruncateSync(fd, from));
      const back = Buffer.alloc(from);
      back.set(expected.subarray(0, Math.min(from, to)));
      expectContent(subject, 'file', back);
      assert.equal(subject.fs.statSync(at(subject, 'file')).size, from);
    },
  }),
);

const truncateErrorCases: ConformanceCase[] = [
  {
    name: 'truncate without a length empties a file, and ftruncate takes a negative length as 0',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      subject.fs.truncateSync(at(subject, 'file'));
      expectContent(subject, 'file', '');
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      withFile(subject, 'file', 'r+', (fd) => subject.fs.ftruncateSync(fd, -5));
      expectContent(subject, 'file', '');
    },
  },
  {
    name: 'truncate of a missing file or a directory fails in open',
    run(subject) {
      for (const [name, code] of [
        ['missing', 'ENOENT'],
        ['.', 'EISDIR'],
      ] as const) {
        const path = at(subject, name);
        expectError(() => subject.fs.truncateSync(path, 1), { code, syscall: 'open', path });
      }
    },
  },
  {
    name: 'ftruncate of a file that is open for reading fails with EINVAL',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      withFile(subject, 'file', 'r', (fd) => {
        expectError(() => subject.fs.ftruncateSync(fd, 1), { code: 'EINVAL', syscall: 'ftruncate' });
      });
      expectContent(subject, 'file', 'abc');
    },
  },
  {
    name: 'a length that is not a whole number is refused',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        expectNodeError(() => subject.fs.ftruncateSync(fd, 1.5), 'ERR_OUT_OF_RANGE');
        expectNodeError(() => subject.fs.ftruncateSync(fd, wrongType('1')), 'ERR_INVALID_ARG_TYPE');
      });
    },
  },
  {
    name: 'a write after truncation continues where the descriptor was, over a hole',
    run(subject) {
      withFile(subject, 'file', 'w', (fd) => {
        subject.fs.writeSync(fd, 'abcdef');
        subject.fs.ftruncateSync(fd, 2);
        subject.fs.writeSync(fd, 'X');
      });
      expectContent(subject, 'file', 'ab\0\0\0\0X');
    },
  },
];

export const truncateGroup: CaseGroup = {
  name: 'truncate',
  cases: [...truncateCases, ...truncateErrorCases],
};
