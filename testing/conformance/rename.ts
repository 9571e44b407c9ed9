/** rename(2) in all its cases. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import {
  at,
  expectAbsent,
  expectContent,
  expectError,
  namesIn,
  typeOf,
  waitForClock,
  withFile,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

const { S_IFDIR, S_IFLNK } = constants;

function rename(subject: FsSubject, from: string, to: string): void {
  subject.fs.renameSync(at(subject, from), at(subject, to));
}

function expectRefused(subject: FsSubject, from: string, to: string, code: string): void {
  expectError(() => rename(subject, from, to), {
    code,
    syscall: 'rename',
    path: at(subject, from),
    dest: at(subject, to),
  });
}

function file(subject: FsSubject, relative: string, text = relative): void {
  subject.fs.writeFileSync(at(subject, relative), text);
}

function directory(subject: FsSubject, relative: string): void {
  subject.fs.mkdirSync(at(subject, relative), { recursive: true });
}

const moveCases: ConformanceCase[] = [
  {
    name: 'a file moves to a free name and keeps its inode',
    run(subject) {
      file(subject, 'a');
      const { ino } = subject.fs.statSync(at(subject, 'a'));
      rename(subject, 'a', 'b');
      expectAbsent(subject, 'a');
      expectContent(subject, 'b', 'a');
      assert.equal(subject.fs.statSync(at(subject, 'b')).ino, ino);
    },
  },
  {
    name: 'a file moves to another directory',
    run(subject) {
      directory(subject, 'from');
      directory(subject, 'to');
      file(subject, 'from/a', 'text');
      rename(subject, 'from/a', 'to/b');
      assert.deepEqual(namesIn(subject, 'from'), []);
      assert.deepEqual(namesIn(subject, 'to'), ['b']);
      expectContent(subject, 'to/b', 'text');
    },
  },
  {
    name: 'a file replaces a file, whose link count falls',
    run(subject) {
      file(subject, 'a', 'new');
      file(subject, 'b', 'old');
      subject.fs.linkSync(at(subject, 'b'), at(subject, 'other'));
      rename(subject, 'a', 'b');
      expectContent(subject, 'b', 'new');
      expectContent(subject, 'other', 'old');
      assert.equal(subject.fs.statSync(at(subject, 'other')).nlink, 1);
    },
  },
  {
    name: 'a replaced file that is open stays readable, with no links',
    run(subject) {
      file(subject, 'a', 'new');
      file(subject, 'b', 'old');
      withFile(subject, 'b', 'r', (fd) => {
        rename(subject, 'a', 'b');
        assert.equal(subject.fs.fstatSync(fd).nlink, 0);
        assert.equal(subject.fs.readFileSync(fd, 'utf8'), 'old');
      });
      expectContent(subject, 'b', 'new');
    },
  },
  {
    name: 'an open file keeps working under its new name',
    run(subject) {
      file(subject, 'a', 'one');
      withFile(subject, 'a', 'a', (fd) => {
        rename(subject, 'a', 'b');
        subject.fs.writeSync(fd, 'two');
      });
      expectContent(subject, 'b', 'onetwo');
    },
  },
  {
    name: 'a directory moves with what it holds, and the link counts of both parents follow',
    run(subject) {
      directory(subject, 'from/dir/deep');
      directory(subject, 'to');
      file(subject, 'from/dir/deep/file', 'text');
      rename(subject, 'from/dir', 'to/moved');
      expectContent(subject, 'to/moved/deep/file', 'text');
      expectAbsent(subject, 'from/dir');
      assert.equal(subject.fs.statSync(at(subject, 'from')).nlink, 2);
      assert.equal(subject.fs.statSync(at(subject, 'to')).nlink, 3);
    },
  },
  {
    name: "a moved directory's '..' is its new parent",
    run(subject) {
      directory(subject, 'from/dir');
      directory(subject, 'to');
      file(subject, 'to/here', 'yes');
      rename(subject, 'from/dir', 'to/dir');
      expectContent(subject, 'to/dir/../here', 'yes');
    },
  },
  {
    name: 'a symbolic link is moved itself, and a dangling one too',
    run(subject) {
      file(subject, 'target');
      subject.fs.symlinkSync('target', at(subject, 'link'));
      subject.fs.symlinkSync('nowhere', at(subject, 'dangling'));
      rename(subject, 'link', 'moved');
      rename(subject, 'dangling', 'also');
      assert.equal(subject.fs.readlinkSync(at(subject, 'moved')), 'target');
      assert.equal(subject.fs.readlinkSync(at(subject, 'also')), 'nowhere');
      expectContent(subject, 'target', 'target');
    },
  },
  {
    name: 'a rename over a symbolic link replaces the link, not its target',
    run(subject) {
      file(subject, 'target', 'kept');
      file(subject, 'a', 'new');
      subject.fs.symlinkSync('target', at(subject, 'link'));
      rename(subject, 'a', 'link');
      expectContent(subject, 'link', 'new');
      expectContent(subject, 'target', 'kept');
      assert.notEqual(typeOf(subject, 'link'), S_IFLNK);
    },
  },
  {
    name: 'a symbolic link to a directory is replaced by a file',
    run(subject) {
      directory(subject, 'dir');
      file(subject, 'a', 'new');
      subject.fs.symlinkSync('dir', at(subject, 'link'));
      rename(subject, 'a', 'link');
      expectContent(subject, 'link', 'new');
      assert.equal(typeOf(subject, 'dir'), S_IFDIR);
    },
  },
];

const replaceCases: ConformanceCase[] = [
  {
    name: 'a directory replaces an empty directory',
    run(subject) {
      directory(subject, 'a');
      directory(subject, 'b');
      file(subject, 'a/file', 'x');
      rename(subject, 'a', 'b');
      assert.deepEqual(namesIn(subject, '.'), ['b']);
      assert.deepEqual(namesIn(subject, 'b'), ['file']);
      assert.equal(subject.fs.statSync(subject.root).nlink, 3);
    },
  },
  {
    name: 'a directory over one that is not empty is ENOTEMPTY',
    run(subject) {
      directory(subject, 'a');
      directory(subject, 'b');
      file(subject, 'b/file');
      expectRefused(subject, 'a', 'b', 'ENOTEMPTY');
      assert.deepEqual(namesIn(subject, '.'), ['a', 'b']);
    },
  },
  {
    name: 'a file over a directory is EISDIR',
    run(subject) {
      file(subject, 'a');
      directory(subject, 'b');
      expectRefused(subject, 'a', 'b', 'EISDIR');
    },
  },
  {
    name: 'a directory over a file is ENOTDIR',
    run(subject) {
      directory(subject, 'a');
      file(subject, 'b');
      expectRefused(subject, 'a', 'b', 'ENOTDIR');
    },
  },
  {
    name: 'a directory over a symbolic link to a directory is ENOTDIR',
    run(subject) {
      directory(subject, 'a');
      directory(subject, 'b');
      subject.fs.symlinkSync('b', at(subject, 'link'));
      expectRefused(subject, 'a', 'link', 'ENOTDIR');
    },
  },
  {
    name: 'two names of one file: nothing happens, both stay',
    run(subject) {
      file(subject, 'a');
      subject.fs.linkSync(at(subject, 'a'), at(subject, 'b'));
      rename(subject, 'a', 'b');
      assert.deepEqual(namesIn(subject, '.'), ['a', 'b']);
      assert.equal(subject.fs.statSync(at(subject, 'a')).nlink, 2);
    },
  },
  {
    name: 'a name to itself: nothing happens',
    run(subject) {
      file(subject, 'a');
      directory(subject, 'dir/child');
      rename(subject, 'a', 'a');
      rename(subject, 'dir', 'dir');
      assert.deepEqual(namesIn(subject, '.'), ['a', 'dir']);
    },
  },
];

const refusedCases: ConformanceCase[] = [
  {
    name: 'a directory into itself is EINVAL',
    run(subject) {
      directory(subject, 'a');
      expectRefused(subject, 'a', 'a/b', 'EINVAL');
    },
  },
  {
    name: 'a directory into a directory below it is EINVAL',
    run(subject) {
      directory(subject, 'a/b/c');
      expectRefused(subject, 'a', 'a/b/c/d', 'EINVAL');
      assert.deepEqual(namesIn(subject, 'a/b/c'), []);
    },
  },
  {
    name: 'a directory onto its own ancestor is ENOTEMPTY',
    run(subject) {
      directory(subject, 'a/b');
      expectRefused(subject, 'a/b', 'a', 'ENOTEMPTY');
    },
  },
  {
    name: 'a missing source is ENOENT',
    run(subject) {
      expectRefused(subject, 'missing', 'b', 'ENOENT');
    },
  },
  {
    name: 'a missing parent of the target is ENOENT',
    run(subject) {
      file(subject, 'a');
      expectRefused(subject, 'a', 'missing/b', 'ENOENT');
      expectContent(subject, 'a', 'a');
    },
  },
  {
    name: 'a parent of the target that is a file is ENOTDIR',
    run(subject) {
      file(subject, 'a');
      file(subject, 'b');
      expectRefused(subject, 'a', 'b/c', 'ENOTDIR');
    },
  },
  {
    name: 'a file to a name with a trailing slash is ENOTDIR',
    run(subject) {
      file(subject, 'a');
      expectRefused(subject, 'a', 'b/', 'ENOTDIR');
    },
  },
  {
    name: 'a directory may be named with a trailing slash on either side',
    run(subject) {
      directory(subject, 'a');
      rename(subject, 'a/', 'b/');
      assert.deepEqual(namesIn(subject, '.'), ['b']);
    },
  },
  {
    name: 'a file named with a trailing slash is ENOTDIR',
    run(subject) {
      file(subject, 'a');
      expectRefused(subject, 'a/', 'b', 'ENOTDIR');
    },
  },
  {
    name: "'.' and '..' as last component are EBUSY",
    run(subject) {
      directory(subject, 'a/b');
      expectRefused(subject, 'a/.', 'c', 'EBUSY');
      expectRefused(subject, 'a/b/..', 'c', 'EBUSY');
    },
  },
  {
    name: 'of two errors the one that rename(2) meets first: parents, then the source, then the target',
    run(subject) {
      const long = 'n'.repeat(256);
      file(subject, 'a');
      expectRefused(subject, long, 'missing/b', 'ENOENT');
      expectRefused(subject, long, 'a/b', 'ENOTDIR');
      expectRefused(subject, 'missing', long, 'ENOENT');
      expectRefused(subject, long, 'missing', 'ENAMETOOLONG');
    },
  },
  {
    name: 'a name of 256 bytes is ENAMETOOLONG',
    run(subject) {
      file(subject, 'a');
      expectRefused(subject, 'a', 'n'.repeat(256), 'ENAMETOOLONG');
    },
  },
];

const timeCases: ConformanceCase[] = [
  {
    name: 'a rename moves mtime of both parents and ctime of the file, and keeps its mtime',
    needs: ['clockMoves'],
    async run(subject) {
      directory(subject, 'from');
      directory(subject, 'to');
      file(subject, 'from/a');
      const stat = (relative: string) => subject.fs.statSync(at(subject, relative), { bigint: true });
      const before = { from: stat('from'), to: stat('to'), file: stat('from/a') };
      await waitForClock();
      rename(subject, 'from/a', 'to/a');
      const after = { from: stat('from'), to: stat('to'), file: stat('to/a') };
      assert.ok(after.from.mtimeNs > before.from.mtimeNs, 'the old parent was modified');
      assert.ok(after.to.mtimeNs > before.to.mtimeNs, 'the new parent was modified');
      assert.ok(after.file.ctimeNs > before.file.ctimeNs, 'the file was changed');
      assert.equal(after.file.mtimeNs, before.file.mtimeNs);
    },
  },
  {
    name: 'promises.rename moves, and rejects with the same shape',
    async run(subject) {
      file(subject, 'a');
      await subject.fs.promises.rename(at(subject, 'a'), at(subject, 'b'));
      expectContent(subject, 'b', 'a');
      await assert.rejects(subject.fs.promises.rename(at(subject, 'a'), at(subject, 'c')), {
        code: 'ENOENT',
        syscall: 'rename',
        path: at(subject, 'a'),
        dest: at(subject, 'c'),
        message: `ENOENT: no such file or directory, rename '${at(subject, 'a')}' -> '${at(subject, 'c')}'`,
      });
    },
  },
];

export const renameGroup: CaseGroup = {
  name: 'rename',
  cases: [...moveCases, ...replaceCases, ...refusedCases, ...timeCases],
};
