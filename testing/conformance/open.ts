/** Cases of open(2): flags, modes, and the calls that each kind of file allows. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import {
  at,
  expectAbsent,
  expectContent,
  expectError,
  expectNodeError,
  permissionsOf,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, O_APPEND } = constants;

interface FlagRow {
  readonly flags: string;
  /** The content of a file that held 'old' after 'N' was written; an error code if opening or writing fails. */
  readonly whenPresent: string;
  /** The same for a file that did not exist. */
  readonly whenAbsent: string;
  readonly canRead: boolean;
}

/** The table of fs.openSync's flags, from the documentation of Node ("File system flags"). */
const flagRows: readonly FlagRow[] = [
  { flags: 'r', whenPresent: 'EBADF', whenAbsent: 'ENOENT', canRead: true },
  { flags: 'rs', whenPresent: 'EBADF', whenAbsent: 'ENOENT', canRead: true },
  { flags: 'r+', whenPresent: 'Nld', whenAbsent: 'ENOENT', canRead: true },
  { flags: 'rs+', whenPresent: 'Nld', whenAbsent: 'ENOENT', canRead: true },
  { flags: 'w', whenPresent: 'N', whenAbsent: 'N', canRead: false },
  { flags: 'wx', whenPresent: 'EEXIST', whenAbsent: 'N', canRead: false },
  { flags: 'w+', whenPresent: 'N', whenAbsent: 'N', canRead: true },
  { flags: 'wx+', whenPresent: 'EEXIST', whenAbsent: 'N', canRead: true },
  { flags: 'a', whenPresent: 'oldN', whenAbsent: 'N', canRead: false },
  { flags: 'as', whenPresent: 'oldN', whenAbsent: 'N', canRead: false },
  { flags: 'ax', whenPresent: 'EEXIST', whenAbsent: 'N', canRead: false },
  { flags: 'a+', whenPresent: 'oldN', whenAbsent: 'N', canRead: true },
  { flags: 'as+', whenPresent: 'oldN', whenAbsent: 'N', canRead: true },
  { flags: 'ax+', whenPresent: 'EEXIST', whenAbsent: 'N', canRead: true },
];

function checkOutcome(subject: FsSubject, flags: string, expected: string): void {
  const path = at(subject, 'file');
  const write = (): void => withFile(subject, 'file', flags, (fd) => void subject.fs.writeSync(fd, 'N'));
  if (expected === 'EBADF') expectError(write, { code: 'EBADF', syscall: 'write' });
  else if (expected.startsWith('E')) expectError(write, { code: expected, syscall: 'open', path });
  else {
    write();
    expectContent(subject, 'file', expected);
  }
}

function casesOfFlags(row: FlagRow): ConformanceCase[] {
  return [
    {
      name: `flags '${row.flags}' on a file that exists`,
      run(subject) {
        subject.fs.writeFileSync(at(subject, 'file'), 'old');
        checkOutcome(subject, row.flags, row.whenPresent);
      },
    },
    {
      name: `flags '${row.flags}' where there is no file`,
      run(subject) {
        checkOutcome(subject, row.flags, row.whenAbsent);
        if (row.whenAbsent === 'ENOENT') expectAbsent(subject, 'file');
      },
    },
    {
      name: `flags '${row.flags}' ${row.canRead ? 'allow' : 'refuse'} reading`,
      run(subject) {
        if (!row.flags.includes('x')) subject.fs.writeFileSync(at(subject, 'file'), 'old');
        withFile(subject, 'file', row.flags, (fd) => {
          const read = (): number => subject.fs.readSync(fd, Buffer.alloc(8), 0, 8, 0);
          if (!row.canRead) expectError(read, { code: 'EBADF', syscall: 'read' });
          else assert.equal(read(), /^r|^a.?\+/.test(row.flags) && !row.flags.includes('x') ? 3 : 0);
        });
      },
    },
  ];
}

const flagCases: ConformanceCase[] = [
  {
    name: 'without flags a file is opened for reading',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      const fd = subject.fs.openSync(at(subject, 'file'), wrongType(undefined));
      assert.equal(subject.fs.readSync(fd, Buffer.alloc(8)), 4);
      expectError(() => subject.fs.writeSync(fd, 'x'), { code: 'EBADF', syscall: 'write' });
      subject.fs.closeSync(fd);
    },
  },
  {
    name: 'O_RDWR alone neither creates nor truncates',
    run(subject) {
      expectError(() => subject.fs.openSync(at(subject, 'file'), O_RDWR), {
        code: 'ENOENT',
        syscall: 'open',
        path: at(subject, 'file'),
      });
      subject.fs.writeFileSync(at(subject, 'file'), 'kept');
      withFile(subject, 'file', O_RDWR, () => undefined);
      expectContent(subject, 'file', 'kept');
    },
  },
  {
    name: 'O_WRONLY | O_TRUNC empties a file and does not create one',
    run(subject) {
      expectError(() => subject.fs.openSync(at(subject, 'file'), O_WRONLY | O_TRUNC), { code: 'ENOENT' });
      subject.fs.writeFileSync(at(subject, 'file'), 'gone');
      withFile(subject, 'file', O_WRONLY | O_TRUNC, () => undefined);
      expectContent(subject, 'file', '');
    },
  },
  {
    name: 'O_RDONLY | O_CREAT makes an empty file',
    run(subject) {
      withFile(subject, 'file', O_RDONLY | O_CREAT, (fd) => {
        expectError(() => subject.fs.writeSync(fd, 'x'), { code: 'EBADF', syscall: 'write' });
      });
      expectContent(subject, 'file', '');
    },
  },
  {
    name: 'O_CREAT | O_EXCL refuses a symbolic link, also one that leads nowhere',
    run(subject) {
      subject.fs.symlinkSync('nowhere', at(subject, 'link'));
      expectError(() => subject.fs.openSync(at(subject, 'link'), O_WRONLY | O_CREAT | O_EXCL), {
        code: 'EEXIST',
        syscall: 'open',
        path: at(subject, 'link'),
      });
      expectAbsent(subject, 'nowhere');
    },
  },
  {
    name: 'O_CREAT through a dangling symbolic link makes the target',
    run(subject) {
      subject.fs.symlinkSync('target', at(subject, 'link'));
      withFile(subject, 'link', O_WRONLY | O_CREAT, (fd) => void subject.fs.writeSync(fd, 'made'));
      expectContent(subject, 'target', 'made');
      assert.equal(subject.fs.readlinkSync(at(subject, 'link')), 'target');
    },
  },
  {
    name: 'O_APPEND writes at the end whatever position is given',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'one');
      withFile(subject, 'file', O_RDWR | O_APPEND, (fd) => {
        subject.fs.writeSync(fd, Buffer.from('two'), 0, 3, 0);
        subject.fs.writeSync(fd, 'three');
      });
      expectContent(subject, 'file', 'onetwothree');
    },
  },
  {
    name: 'two descriptors with O_APPEND take turns at the end',
    run(subject) {
      withFile(subject, 'file', 'a', (first) => {
        withFile(subject, 'file', 'a', (second) => {
          subject.fs.writeSync(first, 'a');
          subject.fs.writeSync(second, 'b');
          subject.fs.writeSync(first, 'c');
        });
      });
      expectContent(subject, 'file', 'abc');
    },
  },
];

const kindCases: ConformanceCase[] = [
  {
    name: 'O_DIRECTORY opens a directory and refuses a file with ENOTDIR',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.writeFileSync(at(subject, 'file'), '');
      withFile(subject, 'dir', O_RDONLY | O_DIRECTORY, (fd) => {
        assert.ok(subject.fs.fstatSync(fd).isDirectory());
      });
      expectError(() => subject.fs.openSync(at(subject, 'file'), O_RDONLY | O_DIRECTORY), {
        code: 'ENOTDIR',
        syscall: 'open',
        path: at(subject, 'file'),
      });
    },
  },
  {
    name: 'a directory is opened for reading and cannot be read as a file',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      withFile(subject, 'dir', 'r', (fd) => {
        expectError(() => subject.fs.readSync(fd, Buffer.alloc(4)), { code: 'EISDIR', syscall: 'read' });
      });
    },
  },
  ...(['w', 'r+', 'a'] as const).map(
    (flags): ConformanceCase => ({
      name: `a directory is not opened with '${flags}'`,
      run(subject) {
        subject.fs.mkdirSync(at(subject, 'dir'));
        expectError(() => subject.fs.openSync(at(subject, 'dir'), flags), {
          code: 'EISDIR',
          syscall: 'open',
          path: at(subject, 'dir'),
        });
      },
    }),
  ),
  {
    name: "'wx' on a directory is EEXIST",
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      expectError(() => subject.fs.openSync(at(subject, 'dir'), 'wx'), { code: 'EEXIST' });
    },
  },
  {
    name: 'O_NOFOLLOW refuses a symbolic link with ELOOP and opens a plain file',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      expectError(() => subject.fs.openSync(at(subject, 'link'), O_RDONLY | O_NOFOLLOW), {
        code: 'ELOOP',
        syscall: 'open',
        path: at(subject, 'link'),
      });
      withFile(subject, 'file', O_RDONLY | O_NOFOLLOW, () => undefined);
    },
  },
  {
    name: 'O_NOFOLLOW still follows a link that is not the last component',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.writeFileSync(at(subject, 'dir/file'), 'text');
      subject.fs.symlinkSync('dir', at(subject, 'link'));
      withFile(subject, 'link/file', O_RDONLY | O_NOFOLLOW, (fd) => {
        assert.equal(subject.fs.fstatSync(fd).size, 4);
      });
    },
  },
  {
    name: 'a new file gets the mode given, less the umask',
    run(subject) {
      subject.fs.closeSync(subject.fs.openSync(at(subject, 'plain'), 'w'));
      subject.fs.closeSync(subject.fs.openSync(at(subject, 'run'), 'w', 0o777));
      subject.fs.closeSync(subject.fs.openSync(at(subject, 'own'), 'w', '600'));
      assert.equal(permissionsOf(subject, 'plain'), 0o666 & ~subject.umask);
      assert.equal(permissionsOf(subject, 'run'), 0o777 & ~subject.umask);
      assert.equal(permissionsOf(subject, 'own'), 0o600 & ~subject.umask);
    },
  },
  {
    name: 'the mode of open changes nothing on a file that exists',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '', { mode: 0o600 });
      subject.fs.closeSync(subject.fs.openSync(at(subject, 'file'), 'w', 0o777));
      assert.equal(permissionsOf(subject, 'file'), 0o600 & ~subject.umask);
    },
  },
  {
    name: 'a file made with mode 0400 is writable by the descriptor that made it',
    run(subject) {
      const fd = subject.fs.openSync(at(subject, 'file'), 'w', 0o400);
      subject.fs.writeSync(fd, 'mine');
      subject.fs.closeSync(fd);
      expectContent(subject, 'file', 'mine');
    },
  },
];

const failureCases: ConformanceCase[] = [
  {
    name: 'a missing parent is ENOENT, also when creating',
    run(subject) {
      const path = at(subject, 'missing/file');
      expectError(() => subject.fs.openSync(path, 'w'), { code: 'ENOENT', syscall: 'open', path });
    },
  },
  {
    name: 'a parent that is a file is ENOTDIR',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const path = at(subject, 'file/child');
      expectError(() => subject.fs.openSync(path, 'r'), { code: 'ENOTDIR', syscall: 'open', path });
    },
  },
  {
    name: 'an unknown flag string is ERR_INVALID_ARG_VALUE',
    run(subject) {
      expectNodeError(() => subject.fs.openSync(at(subject, 'file'), 'rw'), 'ERR_INVALID_ARG_VALUE');
      expectNodeError(() => subject.fs.openSync(at(subject, 'file'), 'x'), 'ERR_INVALID_ARG_VALUE');
    },
  },
  {
    name: 'flags of another type are refused',
    run(subject) {
      expectNodeError(() => subject.fs.openSync(at(subject, 'f'), wrongType({})), 'ERR_INVALID_ARG_VALUE');
      expectNodeError(() => subject.fs.openSync(at(subject, 'f'), 1.5), 'ERR_OUT_OF_RANGE');
    },
  },
  {
    name: 'a mode that is not octal or out of range is refused',
    run(subject) {
      expectNodeError(() => subject.fs.openSync(at(subject, 'f'), 'w', '9'), 'ERR_INVALID_ARG_VALUE');
      expectNodeError(() => subject.fs.openSync(at(subject, 'f'), 'w', -1), 'ERR_OUT_OF_RANGE');
      expectNodeError(
        () => subject.fs.openSync(at(subject, 'f'), 'w', wrongType({})),
        'ERR_INVALID_ARG_TYPE',
      );
      expectAbsent(subject, 'f');
    },
  },
  {
    name: 'descriptors that are open at once have different numbers',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const descriptors = [0, 1, 2, 3].map(() => subject.fs.openSync(at(subject, 'file'), 'r'));
      assert.equal(new Set(descriptors).size, 4);
      for (const fd of descriptors) subject.fs.closeSync(fd);
    },
  },
  {
    name: 'permission bits stop another user',
    needs: ['unprivileged'],
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'x', { mode: 0o200 });
      expectError(() => subject.fs.openSync(at(subject, 'file'), 'r'), {
        code: 'EACCES',
        syscall: 'open',
        path: at(subject, 'file'),
      });
    },
  },
  {
    name: 'permission bits do not stop root',
    needs: ['root'],
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'x');
      subject.fs.chmodSync(at(subject, 'file'), 0);
      expectContent(subject, 'file', 'x');
      subject.fs.writeFileSync(at(subject, 'file'), 'y');
      expectContent(subject, 'file', 'y');
    },
  },
];

export const openGroup: CaseGroup = {
  name: 'open',
  cases: [...flagRows.flatMap(casesOfFlags), ...flagCases, ...kindCases, ...failureCases],
};
