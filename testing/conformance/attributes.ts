/** Cases of stat, chmod, chown, access and exists. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import {
  at,
  expectError,
  expectNodeError,
  expectRejection,
  permissionsOf,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase } from './subject.ts';

const { F_OK, R_OK, W_OK, X_OK } = constants;

const statCases: ConformanceCase[] = [
  {
    name: 'stat, lstat and fstat of a file agree',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      withFile(subject, 'file', 'r', (fd) => {
        const stat = subject.fs.statSync(at(subject, 'file'));
        assert.deepEqual(subject.fs.lstatSync(at(subject, 'file')), stat);
        assert.deepEqual(subject.fs.fstatSync(fd), stat);
        assert.equal(stat.size, 4);
        assert.equal(stat.nlink, 1);
        assert.equal(stat.mode & constants.S_IFMT, constants.S_IFREG);
      });
    },
  },
  {
    name: 'bigint stat has the same numbers',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      const plain = subject.fs.statSync(at(subject, 'file'));
      const big = subject.fs.statSync(at(subject, 'file'), { bigint: true });
      for (const key of [
        'dev',
        'ino',
        'mode',
        'nlink',
        'uid',
        'gid',
        'rdev',
        'size',
        'blksize',
        'blocks',
      ] as const) {
        assert.equal(big[key], BigInt(plain[key]), key);
      }
      assert.equal(big.mtimeMs, BigInt(Math.floor(plain.mtimeMs)));
      assert.ok(big.isFile() && !big.isDirectory());
      withFile(subject, 'file', 'r', (fd) => {
        assert.equal(subject.fs.fstatSync(fd, { bigint: true }).ino, big.ino);
      });
    },
  },
  {
    name: 'each kind says what it is and nothing else',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.symlinkSync('file', at(subject, 'link'));
      const kinds = (name: string): boolean[] => {
        const stat = subject.fs.lstatSync(at(subject, name));
        assert.ok(!stat.isFIFO() && !stat.isSocket() && !stat.isBlockDevice() && !stat.isCharacterDevice());
        return [stat.isFile(), stat.isDirectory(), stat.isSymbolicLink()];
      };
      assert.deepEqual(kinds('file'), [true, false, false]);
      assert.deepEqual(kinds('dir'), [false, true, false]);
      assert.deepEqual(kinds('link'), [false, false, true]);
    },
  },
  {
    name: 'files of one tree have one device and different inodes',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), '');
      subject.fs.writeFileSync(at(subject, 'b'), '');
      const [a, b] = [subject.fs.statSync(at(subject, 'a')), subject.fs.statSync(at(subject, 'b'))];
      assert.equal(a.dev, b.dev);
      assert.equal(a.dev, subject.fs.statSync(subject.root).dev);
      assert.notEqual(a.ino, b.ino);
    },
  },
  {
    name: 'throwIfNoEntry: false gives undefined for ENOENT, and throws the rest',
    run(subject) {
      subject.fs.symlinkSync('loop', at(subject, 'loop'));
      const quiet = { throwIfNoEntry: false };
      assert.equal(subject.fs.statSync(at(subject, 'missing'), quiet), undefined);
      assert.equal(subject.fs.lstatSync(at(subject, 'missing/x'), quiet), undefined);
      expectError(() => subject.fs.statSync(at(subject, 'loop'), quiet), { code: 'ELOOP' });
    },
  },
  {
    name: 'promises.stat and lstat, also bigint',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      const { promises } = subject.fs;
      assert.equal((await promises.stat(at(subject, 'link'))).size, 3);
      assert.equal((await promises.stat(at(subject, 'link'), { bigint: true })).size, 3n);
      assert.ok((await promises.lstat(at(subject, 'link'))).isSymbolicLink());
    },
  },
];

const modeCases: ConformanceCase[] = [
  {
    name: 'chmod sets all twelve bits, as number and as text',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      for (const mode of [0, 0o777, 0o644, 0o1755, 0o7777]) {
        subject.fs.chmodSync(at(subject, 'file'), mode);
        assert.equal(permissionsOf(subject, 'file'), mode);
      }
      subject.fs.chmodSync(at(subject, 'file'), '640');
      assert.equal(permissionsOf(subject, 'file'), 0o640);
    },
  },
  {
    name: 'chmod follows a link and leaves type and size alone',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'abc');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      subject.fs.chmodSync(at(subject, 'link'), 0o600);
      const stat = subject.fs.statSync(at(subject, 'file'));
      assert.equal(stat.mode, constants.S_IFREG | 0o600);
      assert.equal(stat.size, 3);
      assert.equal(permissionsOf(subject, 'link'), 0o777);
    },
  },
  {
    name: 'fchmod and promises.chmod',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      withFile(subject, 'file', 'r', (fd) => subject.fs.fchmodSync(fd, 0o611));
      assert.equal(permissionsOf(subject, 'file'), 0o611);
      await subject.fs.promises.chmod(at(subject, 'file'), 0o622);
      assert.equal(permissionsOf(subject, 'file'), 0o622);
      subject.fs.mkdirSync(at(subject, 'dir'));
      await subject.fs.promises.chmod(at(subject, 'dir'), '0700');
      assert.equal(permissionsOf(subject, 'dir'), 0o700);
    },
  },
  {
    name: 'chmod: ENOENT, ENOTDIR, and modes that are refused',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const missing = at(subject, 'missing');
      const through = at(subject, 'file/x');
      expectError(() => subject.fs.chmodSync(missing, 0), {
        code: 'ENOENT',
        syscall: 'chmod',
        path: missing,
      });
      expectError(() => subject.fs.chmodSync(through, 0), {
        code: 'ENOTDIR',
        syscall: 'chmod',
        path: through,
      });
      const { promises } = subject.fs;
      await expectRejection(() => promises.chmod(missing, 0), {
        code: 'ENOENT',
        syscall: 'chmod',
        path: missing,
      });
      expectNodeError(() => subject.fs.chmodSync(at(subject, 'file'), 'rw'), 'ERR_INVALID_ARG_VALUE');
      expectNodeError(() => subject.fs.chmodSync(at(subject, 'file'), -1), 'ERR_OUT_OF_RANGE');
      expectNodeError(
        () => subject.fs.chmodSync(at(subject, 'file'), wrongType(undefined)),
        'ERR_INVALID_ARG_TYPE',
      );
    },
  },
];

const ownerCases: ConformanceCase[] = [
  {
    name: 'chown, fchown, lchown; a missing path is ENOENT',
    needs: ['root'],
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      const owner = (name: string): number[] => {
        const { uid, gid } = subject.fs.lstatSync(at(subject, name));
        return [uid, gid];
      };
      subject.fs.chownSync(at(subject, 'link'), 1000, 1001);
      assert.deepEqual(owner('file'), [1000, 1001]);
      assert.deepEqual(owner('link'), [0, 0]);
      subject.fs.lchownSync(at(subject, 'link'), 5, 6);
      assert.deepEqual(owner('link'), [5, 6]);
      withFile(subject, 'file', 'r', (fd) => subject.fs.fchownSync(fd, 7, 8));
      assert.deepEqual(owner('file'), [7, 8]);
      await subject.fs.promises.chown(at(subject, 'file'), 9, 10);
      assert.deepEqual(owner('file'), [9, 10]);
      await subject.fs.promises.lchown(at(subject, 'link'), 11, 12);
      assert.deepEqual(owner('link'), [11, 12]);
      const path = at(subject, 'missing');
      expectError(() => subject.fs.chownSync(path, 1, 1), { code: 'ENOENT', syscall: 'chown', path });
      expectError(() => subject.fs.lchownSync(path, 1, 1), { code: 'ENOENT', syscall: 'lchown', path });
    },
  },
  {
    name: 'chown with -1 leaves that owner alone',
    needs: ['root'],
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.chownSync(at(subject, 'file'), 10, 20);
      subject.fs.chownSync(at(subject, 'file'), -1, 30);
      subject.fs.chownSync(at(subject, 'file'), 40, -1);
      const { uid, gid } = subject.fs.statSync(at(subject, 'file'));
      assert.deepEqual([uid, gid], [40, 30]);
    },
  },
  {
    name: 'chown clears set-user-ID and set-group-ID of a program',
    needs: ['root'],
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.chmodSync(at(subject, 'file'), 0o6755);
      subject.fs.chownSync(at(subject, 'file'), 10, 20);
      assert.equal(permissionsOf(subject, 'file'), 0o755);
    },
  },
  {
    name: 'arguments of chown are checked',
    run(subject) {
      expectNodeError(
        () => subject.fs.chownSync(at(subject, 'f'), wrongType('1'), 1),
        'ERR_INVALID_ARG_TYPE',
      );
      expectNodeError(() => subject.fs.chownSync(at(subject, 'f'), 1, 1.5), 'ERR_OUT_OF_RANGE');
      expectNodeError(() => subject.fs.chownSync(at(subject, 'f'), -2, 1), 'ERR_OUT_OF_RANGE');
    },
  },
];

const accessCases: ConformanceCase[] = [
  {
    name: 'access of what exists, and ENOENT, ENOTDIR of what does not',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.accessSync(at(subject, 'file'));
      subject.fs.accessSync(at(subject, 'file'), F_OK);
      subject.fs.accessSync(at(subject, 'file'), R_OK | W_OK);
      subject.fs.accessSync(subject.root, R_OK | W_OK | X_OK);
      await subject.fs.promises.access(at(subject, 'file'), R_OK);
      const missing = at(subject, 'missing');
      const through = at(subject, 'file/x');
      expectError(() => subject.fs.accessSync(missing), { code: 'ENOENT', syscall: 'access', path: missing });
      expectError(() => subject.fs.accessSync(through), {
        code: 'ENOTDIR',
        syscall: 'access',
        path: through,
      });
      const { promises } = subject.fs;
      await expectRejection(() => promises.access(missing), {
        code: 'ENOENT',
        syscall: 'access',
        path: missing,
      });
    },
  },
  {
    name: 'X_OK on a file with no execute bit is EACCES, for root too',
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, '', { mode: 0o600 });
      expectError(() => subject.fs.accessSync(path, X_OK), { code: 'EACCES', syscall: 'access', path });
      subject.fs.chmodSync(path, 0o700);
      subject.fs.accessSync(path, X_OK);
    },
  },
  {
    name: 'R_OK and W_OK on a file of mode 0 are granted to root',
    needs: ['root'],
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.chmodSync(at(subject, 'file'), 0);
      subject.fs.accessSync(at(subject, 'file'), R_OK | W_OK);
      expectError(() => subject.fs.accessSync(at(subject, 'file'), R_OK | X_OK), { code: 'EACCES' });
    },
  },
  {
    name: 'R_OK and W_OK on a file of mode 0 are refused to others',
    needs: ['unprivileged'],
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.chmodSync(at(subject, 'file'), 0);
      expectError(() => subject.fs.accessSync(at(subject, 'file'), R_OK), { code: 'EACCES' });
      expectError(() => subject.fs.accessSync(at(subject, 'file'), W_OK), { code: 'EACCES' });
    },
  },
  {
    name: 'exists is true or false and never throws',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      assert.equal(subject.fs.existsSync(at(subject, 'file')), true);
      assert.equal(subject.fs.existsSync(subject.root), true);
      assert.equal(subject.fs.existsSync(at(subject, 'missing')), false);
      assert.equal(subject.fs.existsSync(at(subject, 'file/x')), false);
      assert.equal(subject.fs.existsSync(wrongType(undefined)), false);
      assert.equal(subject.fs.existsSync('a\0b'), false);
    },
  },
  {
    name: 'a mode of access that is none is refused',
    run(subject) {
      expectNodeError(() => subject.fs.accessSync(subject.root, 8), 'ERR_OUT_OF_RANGE');
      expectNodeError(() => subject.fs.accessSync(subject.root, wrongType('r')), 'ERR_INVALID_ARG_TYPE');
    },
  },
];

export const attributesGroup: CaseGroup = {
  name: 'attributes',
  cases: [...statCases, ...modeCases, ...ownerCases, ...accessCases],
};
