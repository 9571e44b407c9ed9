/** Cases of rm, copyFile and cp, which work on whole trees. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import {
  at,
  equalBytes,
  expectAbsent,
  expectContent,
  expectError,
  expectNodeError,
  expectNodeRejection,
  expectRejection,
  namesIn,
  patternBytes,
  permissionsOf,
  typeOf,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, S_IFLNK } = constants;
const recursive = { recursive: true } as const;

function makeTree(subject: FsSubject, name = 'tree'): void {
  subject.fs.mkdirSync(at(subject, `${name}/b/c`), recursive);
  subject.fs.writeFileSync(at(subject, `${name}/a`), 'a');
  subject.fs.writeFileSync(at(subject, `${name}/b/d`), 'd');
}

const removeCases: ConformanceCase[] = [
  {
    name: 'rm removes a file or a link, not what the link leads to',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'x');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      subject.fs.rmSync(at(subject, 'link'));
      expectContent(subject, 'file', 'x');
      subject.fs.rmSync(at(subject, 'file'));
      expectAbsent(subject, 'file');
    },
  },
  {
    name: 'rm of a missing path is ENOENT, with force nothing',
    async run(subject) {
      expectError(() => subject.fs.rmSync(at(subject, 'missing')), { code: 'ENOENT' });
      subject.fs.rmSync(at(subject, 'missing'), { force: true });
      subject.fs.rmSync(at(subject, 'missing'), { force: true, recursive: true });
      await expectRejection(() => subject.fs.promises.rm(at(subject, 'missing')), { code: 'ENOENT' });
      await subject.fs.promises.rm(at(subject, 'missing'), { force: true });
    },
  },
  {
    name: 'rm of a directory is ERR_FS_EISDIR, with force too',
    async run(subject) {
      makeTree(subject);
      expectNodeError(() => subject.fs.rmSync(at(subject, 'tree')), 'ERR_FS_EISDIR');
      expectNodeError(() => subject.fs.rmSync(at(subject, 'tree'), { force: true }), 'ERR_FS_EISDIR');
      await expectNodeRejection(() => subject.fs.promises.rm(at(subject, 'tree')), 'ERR_FS_EISDIR');
      assert.deepEqual(namesIn(subject, 'tree'), ['a', 'b']);
    },
  },
  {
    name: 'rm recursive removes everything below, and no target of a link',
    async run(subject) {
      makeTree(subject);
      makeTree(subject, 'kept');
      subject.fs.symlinkSync('../kept', at(subject, 'tree/link'));
      subject.fs.rmSync(at(subject, 'tree'), recursive);
      assert.deepEqual(namesIn(subject, '.'), ['kept']);
      assert.deepEqual(namesIn(subject, 'kept'), ['a', 'b']);
      await subject.fs.promises.rm(at(subject, 'kept'), recursive);
      assert.deepEqual(namesIn(subject, '.'), []);
    },
  },
  {
    name: 'rm recursive of a file removes it',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.rmSync(at(subject, 'file'), recursive);
      expectAbsent(subject, 'file');
    },
  },
];

const copyFileCases: ConformanceCase[] = [
  {
    name: 'copyFile copies bytes and permission bits into a new file',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), patternBytes(10_000));
      subject.fs.chmodSync(at(subject, 'a'), 0o750);
      subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'));
      expectContent(subject, 'b', patternBytes(10_000));
      assert.equal(permissionsOf(subject, 'b'), 0o750);
      assert.notEqual(subject.fs.statSync(at(subject, 'a')).ino, subject.fs.statSync(at(subject, 'b')).ino);
    },
  },
  {
    name: 'a copy and its source are changed apart from each other',
    run(subject) {
      const bytes = patternBytes(20_000);
      subject.fs.writeFileSync(at(subject, 'a'), bytes);
      subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'), COPYFILE_FICLONE);
      const changed = Buffer.from(bytes);
      for (const [name, position] of [
        ['a', 5000],
        ['b', 12_000],
      ] as const) {
        const fd = subject.fs.openSync(at(subject, name), 'r+');
        subject.fs.writeSync(fd, 'changed', position);
        subject.fs.closeSync(fd);
        changed.set(bytes);
        changed.write('changed', position);
        expectContent(subject, name, changed);
      }
    },
  },
  {
    name: 'copyFile over a longer file leaves nothing of it, and keeps its inode',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'short');
      subject.fs.writeFileSync(at(subject, 'b'), patternBytes(9000));
      const { ino } = subject.fs.statSync(at(subject, 'b'));
      subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'));
      expectContent(subject, 'b', 'short');
      assert.equal(subject.fs.statSync(at(subject, 'b')).ino, ino);
    },
  },
  {
    name: 'COPYFILE_EXCL on a taken name is EEXIST',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'a');
      subject.fs.writeFileSync(at(subject, 'b'), 'b');
      const shape = { code: 'EEXIST', syscall: 'copyfile', path: at(subject, 'a'), dest: at(subject, 'b') };
      expectError(() => subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'), COPYFILE_EXCL), shape);
      const { promises } = subject.fs;
      await expectRejection(
        () => promises.copyFile(at(subject, 'a'), at(subject, 'b'), COPYFILE_EXCL),
        shape,
      );
      expectContent(subject, 'b', 'b');
    },
  },
  {
    name: 'copyFile follows links on both sides',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'from');
      subject.fs.writeFileSync(at(subject, 'b'), 'to');
      subject.fs.symlinkSync('a', at(subject, 'la'));
      subject.fs.symlinkSync('b', at(subject, 'lb'));
      subject.fs.copyFileSync(at(subject, 'la'), at(subject, 'lb'));
      expectContent(subject, 'b', 'from');
      assert.equal(typeOf(subject, 'lb'), S_IFLNK);
    },
  },
  {
    name: 'copyFile of a file onto itself keeps it whole',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'whole');
      subject.fs.linkSync(at(subject, 'a'), at(subject, 'b'));
      subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'a'));
      subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'));
      expectContent(subject, 'a', 'whole');
    },
  },
  {
    name: 'copyFile: a missing source ENOENT, a target that is a directory EISDIR',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), '');
      subject.fs.mkdirSync(at(subject, 'dir'));
      for (const [from, to, code] of [
        ['missing', 'b', 'ENOENT'],
        ['a', 'dir', 'EISDIR'],
        ['a', 'missing/b', 'ENOENT'],
      ] as const) {
        const [path, dest] = [at(subject, from), at(subject, to)];
        expectError(() => subject.fs.copyFileSync(path, dest), { code, syscall: 'copyfile', path, dest });
      }
    },
  },
  {
    name: 'copyFile keeps holes as zeros',
    run(subject) {
      const fd = subject.fs.openSync(at(subject, 'a'), 'w');
      subject.fs.writeSync(fd, 'x', 50_000);
      subject.fs.ftruncateSync(fd, 100_000);
      subject.fs.closeSync(fd);
      subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'));
      equalBytes(subject.fs.readFileSync(at(subject, 'b')), subject.fs.readFileSync(at(subject, 'a')));
      assert.equal(subject.fs.statSync(at(subject, 'b')).size, 100_000);
    },
  },
  {
    name: 'a mode of copyFile that is none is refused',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), '');
      const copy = (): void => subject.fs.copyFileSync(at(subject, 'a'), at(subject, 'b'), 8);
      expectNodeError(copy, 'ERR_OUT_OF_RANGE');
    },
  },
];

const copyTreeCases: ConformanceCase[] = [
  {
    name: 'cp recursive copies a tree',
    async run(subject) {
      makeTree(subject);
      subject.fs.chmodSync(at(subject, 'tree/a'), 0o600);
      subject.fs.cpSync(at(subject, 'tree'), at(subject, 'copy'), recursive);
      await subject.fs.promises.cp(at(subject, 'tree'), at(subject, 'other'), recursive);
      for (const copy of ['copy', 'other']) {
        assert.deepEqual(namesIn(subject, copy), ['a', 'b']);
        assert.deepEqual(namesIn(subject, `${copy}/b`), ['c', 'd']);
        expectContent(subject, `${copy}/b/d`, 'd');
        assert.equal(permissionsOf(subject, `${copy}/a`), 0o600);
      }
    },
  },
  {
    name: 'cp of a directory without recursive is ERR_FS_EISDIR',
    async run(subject) {
      makeTree(subject);
      const { promises } = subject.fs;
      expectNodeError(() => subject.fs.cpSync(at(subject, 'tree'), at(subject, 'copy')), 'ERR_FS_EISDIR');
      await expectNodeRejection(() => promises.cp(at(subject, 'tree'), at(subject, 'copy')), 'ERR_FS_EISDIR');
      expectAbsent(subject, 'copy');
    },
  },
  {
    name: 'cp recursive into a tree that exists merges',
    run(subject) {
      makeTree(subject);
      subject.fs.mkdirSync(at(subject, 'copy/b'), recursive);
      subject.fs.writeFileSync(at(subject, 'copy/b/own'), 'own');
      subject.fs.writeFileSync(at(subject, 'copy/a'), 'older');
      subject.fs.cpSync(at(subject, 'tree'), at(subject, 'copy'), recursive);
      assert.deepEqual(namesIn(subject, 'copy/b'), ['c', 'd', 'own']);
      expectContent(subject, 'copy/a', 'a');
    },
  },
  {
    name: 'cp: force false keeps what exists, errorOnExist reports it',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'new');
      subject.fs.writeFileSync(at(subject, 'b'), 'old');
      subject.fs.cpSync(at(subject, 'a'), at(subject, 'b'), { force: false });
      expectContent(subject, 'b', 'old');
      const strict = { force: false, errorOnExist: true };
      const copy = (): void => subject.fs.cpSync(at(subject, 'a'), at(subject, 'b'), strict);
      expectNodeError(copy, 'ERR_FS_CP_EEXIST');
    },
  },
  {
    name: 'cp of links: copied as links, verbatim or made absolute, or followed',
    async run(subject) {
      subject.fs.mkdirSync(at(subject, 'tree'));
      subject.fs.writeFileSync(at(subject, 'tree/file'), 'x');
      subject.fs.symlinkSync('file', at(subject, 'tree/link'));
      const tree = at(subject, 'tree');
      subject.fs.cpSync(tree, at(subject, 'one'), recursive);
      assert.equal(subject.fs.readlinkSync(at(subject, 'one/link')), at(subject, 'tree/file'));
      subject.fs.cpSync(tree, at(subject, 'two'), { recursive: true, verbatimSymlinks: true });
      assert.equal(subject.fs.readlinkSync(at(subject, 'two/link')), 'file');
      // cpSync cannot be used here: its implementation in C++ (Node 24) keeps links in spite of `dereference`.
      await subject.fs.promises.cp(tree, at(subject, 'three'), { recursive: true, dereference: true });
      assert.ok(subject.fs.lstatSync(at(subject, 'three/link')).isFile());
    },
  },
  {
    name: 'cp with a filter leaves out what it refuses',
    run(subject) {
      makeTree(subject);
      subject.fs.cpSync(at(subject, 'tree'), at(subject, 'copy'), {
        recursive: true,
        filter: (source) => !source.endsWith('/b'),
      });
      assert.deepEqual(namesIn(subject, 'copy'), ['a']);
    },
  },
  {
    name: 'cp preserveTimestamps keeps mtime',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), '');
      subject.fs.utimesSync(at(subject, 'a'), 100, 200);
      subject.fs.cpSync(at(subject, 'a'), at(subject, 'b'), { preserveTimestamps: true });
      assert.equal(subject.fs.statSync(at(subject, 'b')).mtimeMs, 200_000);
    },
  },
  {
    name: 'cp of a tree into itself is ERR_FS_CP_EINVAL',
    run(subject) {
      makeTree(subject);
      const tree = at(subject, 'tree');
      expectNodeError(() => subject.fs.cpSync(tree, `${tree}/b/copy`, recursive), 'ERR_FS_CP_EINVAL');
      expectNodeError(() => subject.fs.cpSync(tree, tree, recursive), 'ERR_FS_CP_EINVAL');
    },
  },
  {
    name: 'cp of a directory onto a file and of a file onto a directory is refused',
    run(subject) {
      makeTree(subject);
      const [tree, file] = [at(subject, 'tree/b'), at(subject, 'tree/a')];
      expectNodeError(() => subject.fs.cpSync(tree, file, recursive), 'ERR_FS_CP_DIR_TO_NON_DIR');
      expectNodeError(() => subject.fs.cpSync(file, tree, recursive), 'ERR_FS_CP_NON_DIR_TO_DIR');
    },
  },
  {
    name: 'cp of a missing source is ENOENT',
    async run(subject) {
      const [from, to] = [at(subject, 'missing'), at(subject, 'copy')];
      expectError(() => subject.fs.cpSync(from, to, recursive), { code: 'ENOENT' });
      await expectRejection(() => subject.fs.promises.cp(from, to, recursive), { code: 'ENOENT' });
    },
  },
  {
    name: 'cp makes missing parents of the target',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'a'), 'x');
      subject.fs.cpSync(at(subject, 'a'), at(subject, 'new/deep/b'));
      expectContent(subject, 'new/deep/b', 'x');
    },
  },
];

export const treesGroup: CaseGroup = {
  name: 'trees',
  cases: [...removeCases, ...copyFileCases, ...copyTreeCases],
};
