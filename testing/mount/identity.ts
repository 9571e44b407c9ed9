/** One file, one identity: inode number, links and attributes stay the same when a file of a lower layer changes. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { equalBytes, patternBytes } from '../conformance/expect.ts';
import { allocateFixed, check, libc, readDirectory } from '../host/libc.ts';
import { dropPages, fileContent, type MountCase, type MountGroup } from './mount-case.ts';

/** Opens a file for the duration of `action`. */
function withFile<T>(path: string, flags: string | number, action: (fd: number) => T): T {
  const fd = openSync(path, flags);
  try {
    return action(fd);
  } finally {
    closeSync(fd);
  }
}

/** The inode number that the directory shows for a name. */
function numberInDirectory(directory: string, name: string): number | undefined {
  return withFile(directory, constants.O_RDONLY | constants.O_DIRECTORY, (fd) => {
    for (;;) {
      const entries = readDirectory(fd);
      const found = entries.find((entry) => entry.name === name);
      if (found !== undefined || entries.length === 0) return found?.ino;
    }
  });
}

function readAttribute(path: string | number, name: string): string {
  const target = allocateFixed(256);
  const length =
    typeof path === 'string'
      ? libc().lgetxattr(path, name, target, 256)
      : libc().fgetxattr(path, name, target, 256);
  return target.toString('utf8', 0, check(length, 'getxattr'));
}

function writeAttribute(path: string | number, name: string, value: string): void {
  const bytes = Buffer.from(value);
  const result =
    typeof path === 'string'
      ? libc().lsetxattr(path, name, bytes, bytes.length, 0)
      : libc().fsetxattr(path, name, bytes, bytes.length, 0);
  check(result, 'setxattr');
}

const numberCases: readonly MountCase[] = [
  {
    name: 'st_ino, st_dev and d_ino stay through write, chmod, link and rename',
    run(root) {
      const { ino, dev } = statSync(`${root}/file`);
      withFile(`${root}/file`, 'r', (reader) => {
        const expectSame = (name: string, when: string): void => {
          for (const stat of [statSync(`${root}/${name}`), fstatSync(reader)])
            assert.deepEqual([stat.ino, stat.dev], [ino, dev], when);
          assert.equal(numberInDirectory(root, name), ino, `d_ino, ${when}`);
        };
        expectSame('file', 'at first');
        withFile(`${root}/file`, 'r+', (writer) => {
          writeSync(writer, 'changed');
          expectSame('file', 'after a write');
          dropPages(writer);
        });
        expectSame('file', 'after its pages were dropped');
        chmodSync(`${root}/file`, 0o600);
        expectSame('file', 'after chmod');
        linkSync(`${root}/file`, `${root}/link`);
        expectSame('link', 'by a new link');
        renameSync(`${root}/file`, `${root}/directory/moved`);
        assert.equal(numberInDirectory(`${root}/directory`, 'moved'), ino, 'd_ino after rename');
        expectSame('link', 'after the other name was moved');
      });
    },
  },
  {
    name: 'numbers of directories and symbolic links stay too',
    run(root) {
      const numbers = ['directory', 'directory/inner', 'symbolic'].map(
        (name) => lstatSync(`${root}/${name}`).ino,
      );
      writeFileSync(`${root}/directory/inner/new`, '');
      renameSync(`${root}/directory`, `${root}/renamed`);
      renameSync(`${root}/symbolic`, `${root}/renamed/symbolic`);
      const after = ['renamed', 'renamed/inner', 'renamed/symbolic'].map(
        (name) => lstatSync(`${root}/${name}`).ino,
      );
      assert.deepEqual(after, numbers);
      assert.equal(new Set(numbers).size, 3);
    },
  },
  {
    name: 'files made again under a name have another number while the old one is open',
    run(root) {
      withFile(`${root}/file`, 'r', (old) => {
        unlinkSync(`${root}/file`);
        writeFileSync(`${root}/file`, 'another');
        assert.notEqual(fstatSync(old).ino, statSync(`${root}/file`).ino);
        assert.equal(fstatSync(old).nlink, 0);
        assert.equal(fstatSync(old).size, fileContent.length);
      });
    },
  },
];

const linkCases: readonly MountCase[] = [
  {
    name: 'nlink counts links, and is 0 after the last was removed',
    run(root) {
      withFile(`${root}/first`, 'r', (fd) => {
        assert.equal(fstatSync(fd).nlink, 2);
        linkSync(`${root}/second`, `${root}/third`);
        assert.equal(fstatSync(fd).nlink, 3);
        for (const name of ['first', 'second', 'third']) unlinkSync(`${root}/${name}`);
        assert.equal(fstatSync(fd).nlink, 0);
        assert.equal(statSync(`/proc/self/fd/${fd}`).nlink, 0);
      });
    },
  },
  {
    name: 'hard links of a lower layer stay one file, in both directions',
    run(root) {
      const [first, second] = [`${root}/first`, `${root}/second`];
      withFile(first, 'r', (reader) => {
        withFile(second, 'r+', (writer) => {
          writeSync(writer, 'by the second', 0);
          const bytes = Buffer.alloc(13);
          readSync(reader, bytes, 0, 13, 0);
          assert.equal(bytes.toString(), 'by the second');
          dropPages(writer);
        });
        withFile(first, 'r+', (writer) => writeSync(writer, 'BY THE FIRST', 0));
        assert.equal(readFileSync(second).subarray(0, 13).toString(), 'BY THE FIRSTd');
        chmodSync(second, 0o611);
        assert.equal(statSync(first).mode & 0o777, 0o611);
        assert.equal(statSync(first).ino, statSync(second).ino);
        assert.equal(fstatSync(reader).nlink, 2);
      });
    },
  },
  {
    name: 'a file that is unlinked stays readable and writable, also by /proc/self/fd and after its pages were dropped',
    run(root) {
      withFile(`${root}/file`, 'r+', (fd) => {
        unlinkSync(`${root}/file`);
        equalBytes(readFileSync(`/proc/self/fd/${fd}`), fileContent, 'by /proc/self/fd');
        const bytes = patternBytes(9000, 5);
        withFile(`/proc/self/fd/${fd}`, 'r+', (again) => writeSync(again, bytes, 0, bytes.length, 60_000));
        dropPages(fd);
        const expected = Buffer.alloc(69_000);
        fileContent.copy(expected);
        expected.set(bytes, 60_000);
        equalBytes(readFileSync(`/proc/self/fd/${fd}`), expected, 'after a write');
        ftruncateSync(fd, 5);
        assert.equal(fstatSync(fd).size, 5);
        fchmodSync(fd, 0o640);
        assert.equal(fstatSync(fd).mode & 0o777, 0o640);
        assert.throws(() => statSync(`${root}/file`), { code: 'ENOENT' });
      });
    },
  },
  {
    name: 'a file that was replaced by rename stays readable',
    run(root) {
      withFile(`${root}/file`, 'r', (fd) => {
        renameSync(`${root}/small`, `${root}/file`);
        dropPages(fd);
        equalBytes(readFileSync(`/proc/self/fd/${fd}`), fileContent);
        assert.equal(readFileSync(`${root}/file`, 'utf8'), 'small\n');
        assert.equal(fstatSync(fd).nlink, 0);
      });
    },
  },
];

const attributeCases: readonly MountCase[] = [
  {
    name: 'chmod and utimes, by path or by either descriptor, are seen by all',
    run(root) {
      const path = `${root}/file`;
      withFile(path, 'r', (reader) => {
        const expectAll = (
          what: (stat: { mode: number; mtimeMs: number }) => number,
          value: number,
        ): void => {
          for (const stat of [statSync(path), fstatSync(reader)]) assert.equal(what(stat), value);
        };
        const mode = ({ mode: bits }: { mode: number }): number => bits & 0o7777;
        fchmodSync(reader, 0o604);
        expectAll(mode, 0o604);
        chmodSync(path, 0o640);
        expectAll(mode, 0o640);
        withFile(path, 'r+', (writer) => {
          fchmodSync(writer, 0o606);
          expectAll(mode, 0o606);
          futimesSync(writer, 50, 60);
          expectAll(({ mtimeMs }) => mtimeMs, 60_000);
        });
        utimesSync(path, 70, 80.5);
        expectAll(({ mtimeMs }) => mtimeMs, 80_500);
        futimesSync(reader, 90, 100);
        expectAll(({ mtimeMs }) => mtimeMs, 100_000);
      });
    },
  },
  {
    name: 'extended attributes, by path or by either descriptor, are seen by all',
    run(root) {
      const path = `${root}/file`;
      withFile(path, 'r', (reader) => {
        writeAttribute(path, 'user.one', 'by path');
        assert.equal(readAttribute(reader, 'user.one'), 'by path');
        withFile(path, 'r+', (writer) => {
          writeSync(writer, 'copied up');
          writeAttribute(writer, 'user.one', 'by the writer');
        });
        assert.equal(readAttribute(path, 'user.one'), 'by the writer');
        writeAttribute(reader, 'user.two', 'by the reader');
        assert.equal(readAttribute(path, 'user.two'), 'by the reader');
        assert.throws(() => readAttribute(path, 'user.three'), { code: 'ENODATA' });
      });
    },
  },
  {
    name: 'opening for writing and writing nothing changes nothing',
    run(root) {
      const before = statSync(`${root}/file`, { bigint: true });
      const fd = openSync(`${root}/file`, 'r+');
      closeSync(fd);
      closeSync(openSync(`${root}/file`, 'a'));
      const after = statSync(`${root}/file`, { bigint: true });
      assert.deepEqual(
        [after.ctimeNs, after.mtimeNs, after.blocks],
        [before.ctimeNs, before.mtimeNs, before.blocks],
      );
    },
  },
  {
    name: 'a write moves mtime and ctime, for the old descriptor too',
    run(root) {
      withFile(`${root}/file`, 'r', (reader) => {
        const before = fstatSync(reader, { bigint: true });
        withFile(`${root}/file`, 'r+', (writer) => writeSync(writer, 'x'));
        const after = fstatSync(reader, { bigint: true });
        assert.ok(after.mtimeNs > before.mtimeNs, 'mtime');
        assert.ok(after.ctimeNs > before.ctimeNs, 'ctime');
      });
    },
  },
  {
    name: 'a read moves an atime that is older than the mtime',
    needs: ['relatime'],
    fill: (root) => utimesSync(`${root}/file`, 1000, 2000),
    run(root) {
      assert.equal(statSync(`${root}/file`).atimeMs, 1_000_000);
      readFileSync(`${root}/file`);
      assert.ok(statSync(`${root}/file`).atimeMs > 2_000_000);
    },
  },
];

export const identityGroup: MountGroup = {
  name: 'identity',
  cases: [...numberCases, ...linkCases, ...attributeCases],
};
