/** Cases of link(2), symlink(2), readlink(2), unlink(2), and files that are open without a name. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import {
  at,
  equalBytes,
  expectAbsent,
  expectContent,
  expectError,
  expectNodeError,
  expectRejection,
  namesIn,
  patternBytes,
  typeOf,
  waitForClock,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase } from './subject.ts';

const hardCases: ConformanceCase[] = [
  {
    name: 'two names of one file have one inode, one content, one link count',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'one');
      subject.fs.linkSync(at(subject, 'a'), at(subject, 'b'));
      const a = subject.fs.statSync(at(subject, 'a'));
      const b = subject.fs.statSync(at(subject, 'b'));
      assert.equal(a.ino, b.ino);
      assert.equal(a.dev, b.dev);
      assert.deepEqual([a.nlink, b.nlink], [2, 2]);
      subject.fs.appendFileSync(at(subject, 'b'), 'two');
      expectContent(subject, 'a', 'onetwo');
    },
  },
  {
    name: 'chmod, truncate and utimes by one name show under the other',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'content');
      subject.fs.linkSync(at(subject, 'a'), at(subject, 'b'));
      subject.fs.chmodSync(at(subject, 'a'), 0o640);
      subject.fs.truncateSync(at(subject, 'b'), 3);
      subject.fs.utimesSync(at(subject, 'a'), 100, 200);
      const b = subject.fs.statSync(at(subject, 'b'));
      assert.equal(b.mode & 0o777, 0o640);
      assert.equal(b.size, 3);
      assert.equal(b.mtimeMs, 200_000);
    },
  },
  {
    name: 'the last name gone, the file is gone; one before that, not',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'kept');
      for (const name of ['b', 'c']) subject.fs.linkSync(at(subject, 'a'), at(subject, name));
      subject.fs.unlinkSync(at(subject, 'a'));
      assert.equal(subject.fs.statSync(at(subject, 'b')).nlink, 2);
      subject.fs.unlinkSync(at(subject, 'b'));
      expectContent(subject, 'c', 'kept');
      assert.equal(subject.fs.statSync(at(subject, 'c')).nlink, 1);
    },
  },
  {
    name: 'link of a symbolic link makes a second name of the link itself',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      subject.fs.linkSync(at(subject, 'link'), at(subject, 'second'));
      assert.equal(typeOf(subject, 'second'), constants.S_IFLNK);
      assert.equal(subject.fs.lstatSync(at(subject, 'link')).nlink, 2);
      assert.equal(subject.fs.statSync(at(subject, 'file')).nlink, 1);
    },
  },
  {
    name: 'link refuses: a directory EPERM, a taken name EEXIST, a missing source ENOENT',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.writeFileSync(at(subject, 'a'), '');
      subject.fs.writeFileSync(at(subject, 'b'), '');
      subject.fs.symlinkSync('nowhere', at(subject, 'link'));
      const rows = [
        ['dir', 'c', 'EPERM'],
        ['a', 'b', 'EEXIST'],
        ['a', 'link', 'EEXIST'],
        ['a', 'dir', 'EEXIST'],
        ['missing', 'c', 'ENOENT'],
        ['a', 'missing/c', 'ENOENT'],
        ['a', 'b/c', 'ENOTDIR'],
      ] as const;
      for (const [from, to, code] of rows) {
        const path = at(subject, from);
        const dest = at(subject, to);
        expectError(() => subject.fs.linkSync(path, dest), { code, syscall: 'link', path, dest });
      }
    },
  },
  {
    name: 'promises.link works and rejects with path and dest',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'x');
      await subject.fs.promises.link(at(subject, 'a'), at(subject, 'b'));
      expectContent(subject, 'b', 'x');
      const path = at(subject, 'a');
      const dest = at(subject, 'b');
      const again = () => subject.fs.promises.link(path, dest);
      await expectRejection(again, { code: 'EEXIST', syscall: 'link', path, dest });
    },
  },
  {
    name: 'link moves ctime of the file and mtime of the directory, not mtime of the file',
    needs: ['clockMoves'],
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'x');
      const before = subject.fs.statSync(at(subject, 'a'), { bigint: true });
      const parentBefore = subject.fs.statSync(subject.root, { bigint: true });
      await waitForClock();
      subject.fs.linkSync(at(subject, 'a'), at(subject, 'b'));
      const after = subject.fs.statSync(at(subject, 'a'), { bigint: true });
      assert.ok(after.ctimeNs > before.ctimeNs);
      assert.equal(after.mtimeNs, before.mtimeNs);
      assert.ok(subject.fs.statSync(subject.root, { bigint: true }).mtimeNs > parentBefore.mtimeNs);
    },
  },
];

const unlinkCases: ConformanceCase[] = [
  {
    name: 'unlink: ENOENT, EISDIR for a directory, ENOTDIR through a file',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const rows = [
        ['missing', 'ENOENT'],
        ['dir', 'EISDIR'],
        ['file/x', 'ENOTDIR'],
        ['file/', 'ENOTDIR'],
      ] as const;
      for (const [name, code] of rows) {
        const path = at(subject, name);
        expectError(() => subject.fs.unlinkSync(path), { code, syscall: 'unlink', path });
      }
    },
  },
  {
    name: 'unlink of a symbolic link leaves its target',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'kept');
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.symlinkSync('file', at(subject, 'link'));
      subject.fs.symlinkSync('dir', at(subject, 'other'));
      subject.fs.unlinkSync(at(subject, 'link'));
      subject.fs.unlinkSync(at(subject, 'other'));
      expectContent(subject, 'file', 'kept');
      assert.deepEqual(namesIn(subject, '.'), ['dir', 'file']);
    },
  },
  {
    name: 'an unlinked open file is read, written, truncated and has no links',
    run(subject) {
      const fd = subject.fs.openSync(at(subject, 'file'), 'w+');
      const bytes = patternBytes(10_000);
      subject.fs.writeSync(fd, bytes);
      subject.fs.unlinkSync(at(subject, 'file'));
      expectAbsent(subject, 'file');
      assert.equal(subject.fs.fstatSync(fd).nlink, 0);
      const back = Buffer.alloc(10_000);
      assert.equal(subject.fs.readSync(fd, back, 0, 10_000, 0), 10_000);
      equalBytes(back, bytes);
      subject.fs.writeSync(fd, 'more', 20_000);
      assert.equal(subject.fs.fstatSync(fd).size, 20_004);
      subject.fs.ftruncateSync(fd, 5);
      assert.equal(subject.fs.fstatSync(fd).size, 5);
      subject.fs.fchmodSync(fd, 0o600);
      assert.equal(subject.fs.fstatSync(fd).mode & 0o777, 0o600);
      subject.fs.closeSync(fd);
    },
  },
  {
    name: 'a name taken again is another file than the one unlinked and still open',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'old');
      withFile(subject, 'file', 'r+', (fd) => {
        subject.fs.unlinkSync(at(subject, 'file'));
        subject.fs.writeFileSync(at(subject, 'file'), 'new');
        assert.notEqual(subject.fs.fstatSync(fd).ino, subject.fs.statSync(at(subject, 'file')).ino);
        subject.fs.writeSync(fd, 'OLD');
      });
      expectContent(subject, 'file', 'new');
    },
  },
  {
    name: 'an unlinked file opened twice lives until the second close',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      const first = subject.fs.openSync(at(subject, 'file'), 'r');
      const second = subject.fs.openSync(at(subject, 'file'), 'r+');
      subject.fs.unlinkSync(at(subject, 'file'));
      subject.fs.writeSync(second, 'TE');
      subject.fs.closeSync(second);
      assert.equal(subject.fs.readFileSync(first, 'utf8'), 'TExt');
      subject.fs.closeSync(first);
    },
  },
  {
    name: 'promises.unlink removes and rejects with the path',
    async run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, '');
      await subject.fs.promises.unlink(path);
      await expectRejection(() => subject.fs.promises.unlink(path), {
        code: 'ENOENT',
        syscall: 'unlink',
        path,
      });
    },
  },
];

const symbolicCases: ConformanceCase[] = [
  {
    name: 'readlink gives the target as it was written, relative, absolute or dangling',
    run(subject) {
      const targets = ['file', '../up', './a/../b', '/absolute', 'with space', 'é', 'x'.repeat(300)];
      targets.forEach((target, index) => {
        subject.fs.symlinkSync(target, at(subject, `link${index}`));
        assert.equal(subject.fs.readlinkSync(at(subject, `link${index}`)), target);
      });
    },
  },
  {
    name: "readlink with 'buffer' gives bytes, also those that are not UTF-8",
    run(subject) {
      const target = Buffer.from([0x61, 0xff, 0xfe, 0x62]);
      subject.fs.symlinkSync(target, at(subject, 'link'));
      assert.deepEqual(subject.fs.readlinkSync(at(subject, 'link'), 'buffer'), target);
    },
  },
  {
    name: 'lstat of a link: its own mode and the length of its target',
    run(subject) {
      subject.fs.symlinkSync('sömewhere', at(subject, 'link'));
      const stat = subject.fs.lstatSync(at(subject, 'link'));
      assert.ok(stat.isSymbolicLink());
      assert.equal(stat.size, Buffer.byteLength('sömewhere'));
      assert.equal(stat.mode & 0o777, 0o777);
      assert.equal(stat.nlink, 1);
    },
  },
  {
    name: 'stat follows, through several links, relative to each link',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'a/b'), { recursive: true });
      subject.fs.writeFileSync(at(subject, 'a/file'), 'found');
      subject.fs.symlinkSync('../file', at(subject, 'a/b/one'));
      subject.fs.symlinkSync('a/b/one', at(subject, 'two'));
      subject.fs.symlinkSync('two', at(subject, 'three'));
      expectContent(subject, 'three', 'found');
      assert.equal(
        subject.fs.statSync(at(subject, 'three')).ino,
        subject.fs.lstatSync(at(subject, 'a/file')).ino,
      );
    },
  },
  {
    name: 'an absolute target is followed',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'absolute');
      subject.fs.symlinkSync(at(subject, 'file'), at(subject, 'link'));
      expectContent(subject, 'link', 'absolute');
    },
  },
  {
    name: 'a dangling link: stat is ENOENT, lstat works, exists says no',
    run(subject) {
      const path = at(subject, 'link');
      subject.fs.symlinkSync('nowhere', path);
      expectError(() => subject.fs.statSync(path), { code: 'ENOENT', syscall: 'stat', path });
      assert.ok(subject.fs.lstatSync(path).isSymbolicLink());
      assert.equal(subject.fs.existsSync(path), false);
    },
  },
  {
    name: 'a link to itself and a ring of links are ELOOP',
    run(subject) {
      subject.fs.symlinkSync('self', at(subject, 'self'));
      subject.fs.symlinkSync('two', at(subject, 'one'));
      subject.fs.symlinkSync('one', at(subject, 'two'));
      for (const name of ['self', 'one', 'self/x']) {
        const path = at(subject, name);
        expectError(() => subject.fs.statSync(path), { code: 'ELOOP', syscall: 'stat', path });
        expectError(() => subject.fs.openSync(path, 'r'), { code: 'ELOOP', syscall: 'open', path });
      }
    },
  },
  {
    name: 'a chain of 40 links is followed and one of 41 is ELOOP',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'link0'), 'end');
      for (let index = 1; index <= 41; index++) {
        subject.fs.symlinkSync(`link${index - 1}`, at(subject, `link${index}`));
      }
      expectContent(subject, 'link40', 'end');
      expectError(() => subject.fs.readFileSync(at(subject, 'link41')), { code: 'ELOOP' });
    },
  },
  {
    name: 'symlink over a taken name is EEXIST and names target and path',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const dest = at(subject, 'file');
      expectError(() => subject.fs.symlinkSync('x', dest), {
        code: 'EEXIST',
        syscall: 'symlink',
        path: 'x',
        dest,
      });
    },
  },
  {
    name: 'an empty target is ENOENT, a missing parent too',
    run(subject) {
      expectError(() => subject.fs.symlinkSync('', at(subject, 'link')), {
        code: 'ENOENT',
        syscall: 'symlink',
        path: '',
        dest: at(subject, 'link'),
      });
      const dest = at(subject, 'missing/link');
      expectError(() => subject.fs.symlinkSync('x', dest), {
        code: 'ENOENT',
        syscall: 'symlink',
        path: 'x',
        dest,
      });
    },
  },
  {
    name: 'readlink of a file or directory is EINVAL, of nothing ENOENT',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      for (const [name, code] of [
        ['file', 'EINVAL'],
        ['.', 'EINVAL'],
        ['missing', 'ENOENT'],
      ] as const) {
        const path = at(subject, name);
        expectError(() => subject.fs.readlinkSync(path), { code, syscall: 'readlink', path });
      }
    },
  },
  {
    name: 'a link type that Node does not know is refused',
    run(subject) {
      assert.throws(
        () => subject.fs.symlinkSync('x', at(subject, 'link'), wrongType('hard')),
        (error: unknown) => {
          assert.ok(error instanceof Error);
          assert.match(error.message, /must be one of/);
          return true;
        },
      );
      expectNodeError(
        () => subject.fs.symlinkSync(wrongType(5), at(subject, 'link')),
        'ERR_INVALID_ARG_TYPE',
      );
      expectAbsent(subject, 'link');
    },
  },
  {
    name: 'promises.symlink, readlink, lstat',
    async run(subject) {
      const { promises } = subject.fs;
      await promises.symlink('target', at(subject, 'link'));
      assert.equal(await promises.readlink(at(subject, 'link')), 'target');
      assert.ok((await promises.lstat(at(subject, 'link'))).isSymbolicLink());
      const path = at(subject, 'missing');
      await expectRejection(() => promises.readlink(path), { code: 'ENOENT', syscall: 'readlink', path });
    },
  },
];

export const linksGroup: CaseGroup = {
  name: 'links',
  cases: [...hardCases, ...unlinkCases, ...symbolicCases],
};
