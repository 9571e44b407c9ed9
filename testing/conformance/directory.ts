/** Cases of mkdir(2), rmdir(2), mkdtemp, readdir and opendir. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import {
  at,
  expectAbsent,
  expectError,
  expectNodeError,
  expectNodeRejection,
  expectRejection,
  namesIn,
  permissionsOf,
  waitForClock,
  withFile,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

function makeTree(subject: FsSubject): void {
  subject.fs.mkdirSync(at(subject, 'tree/b/c'), { recursive: true });
  subject.fs.writeFileSync(at(subject, 'tree/a'), 'a');
  subject.fs.writeFileSync(at(subject, 'tree/b/d'), 'd');
  subject.fs.symlinkSync('b', at(subject, 'tree/link'));
}

const makeCases: ConformanceCase[] = [
  {
    name: 'mkdir makes an empty directory and returns nothing',
    run(subject) {
      assert.equal(subject.fs.mkdirSync(at(subject, 'dir')), undefined);
      assert.deepEqual(namesIn(subject, 'dir'), []);
      assert.ok(subject.fs.statSync(at(subject, 'dir')).isDirectory());
    },
  },
  {
    name: 'mkdir gives 0777 less the umask, or the mode that is asked for',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.mkdirSync(at(subject, 'own'), 0o700);
      subject.fs.mkdirSync(at(subject, 'text'), { mode: '750' });
      assert.equal(permissionsOf(subject, 'dir'), 0o777 & ~subject.umask);
      assert.equal(permissionsOf(subject, 'own'), 0o700 & ~subject.umask);
      assert.equal(permissionsOf(subject, 'text'), 0o750 & ~subject.umask);
    },
  },
  {
    name: 'mkdir on a file, a directory, or a dangling link is EEXIST',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.symlinkSync('nowhere', at(subject, 'link'));
      for (const name of ['file', 'dir', 'link']) {
        const path = at(subject, name);
        expectError(() => subject.fs.mkdirSync(path), { code: 'EEXIST', syscall: 'mkdir', path });
      }
    },
  },
  {
    name: 'mkdir with a missing parent is ENOENT, with a file as parent ENOTDIR',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const missing = at(subject, 'missing/dir');
      const inFile = at(subject, 'file/dir');
      expectError(() => subject.fs.mkdirSync(missing), { code: 'ENOENT', syscall: 'mkdir', path: missing });
      expectError(() => subject.fs.mkdirSync(inFile), { code: 'ENOTDIR', syscall: 'mkdir', path: inFile });
    },
  },
  {
    name: 'mkdir takes a trailing slash',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir/'));
      assert.deepEqual(namesIn(subject, '.'), ['dir']);
    },
  },
  {
    name: "a new directory counts in its parent's links",
    run(subject) {
      const nlink = (): number => subject.fs.statSync(subject.root).nlink;
      assert.equal(nlink(), 2);
      subject.fs.mkdirSync(at(subject, 'one'));
      subject.fs.mkdirSync(at(subject, 'two'));
      subject.fs.writeFileSync(at(subject, 'file'), '');
      assert.equal(nlink(), 4);
      assert.equal(subject.fs.statSync(at(subject, 'one')).nlink, 2);
      subject.fs.rmdirSync(at(subject, 'one'));
      assert.equal(nlink(), 3);
    },
  },
  {
    name: 'mkdir recursive returns the first directory it made',
    run(subject) {
      assert.equal(subject.fs.mkdirSync(at(subject, 'a/b/c'), { recursive: true }), at(subject, 'a'));
      assert.equal(subject.fs.mkdirSync(at(subject, 'a/b/d/e'), { recursive: true }), at(subject, 'a/b/d'));
      assert.equal(subject.fs.mkdirSync(at(subject, 'a/b/c'), { recursive: true }), undefined);
      assert.deepEqual(namesIn(subject, 'a/b'), ['c', 'd']);
    },
  },
  {
    name: 'mkdir recursive goes through a symbolic link to a directory',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.symlinkSync('dir', at(subject, 'link'));
      subject.fs.mkdirSync(at(subject, 'link/a/b'), { recursive: true });
      assert.deepEqual(namesIn(subject, 'dir'), ['a']);
    },
  },
  {
    name: 'mkdir recursive onto a file is EEXIST, through a file ENOTDIR',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const onto = at(subject, 'file');
      const through = at(subject, 'file/a');
      expectError(() => subject.fs.mkdirSync(onto, { recursive: true }), {
        code: 'EEXIST',
        syscall: 'mkdir',
        path: onto,
      });
      expectError(() => subject.fs.mkdirSync(through, { recursive: true }), {
        code: 'ENOTDIR',
        syscall: 'mkdir',
        path: through,
      });
    },
  },
  {
    name: 'promises.mkdir recursive returns the first directory it made',
    async run(subject) {
      const { promises } = subject.fs;
      assert.equal(await promises.mkdir(at(subject, 'a/b'), { recursive: true }), at(subject, 'a'));
      assert.equal(await promises.mkdir(at(subject, 'a/b'), { recursive: true }), undefined);
      const path = at(subject, 'a');
      await expectRejection(() => promises.mkdir(path), { code: 'EEXIST', syscall: 'mkdir', path });
    },
  },
  {
    name: 'a directory with the set-group-ID bit passes group and bit to directories made in it',
    needs: ['root'],
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.chownSync(at(subject, 'dir'), 0, 4321);
      subject.fs.chmodSync(at(subject, 'dir'), 0o2775);
      subject.fs.mkdirSync(at(subject, 'dir/sub'));
      subject.fs.writeFileSync(at(subject, 'dir/file'), '');
      assert.equal(subject.fs.statSync(at(subject, 'dir/sub')).gid, 4321);
      assert.equal(subject.fs.statSync(at(subject, 'dir/file')).gid, 4321);
      assert.equal(permissionsOf(subject, 'dir/sub') & 0o2000, 0o2000);
      assert.equal(permissionsOf(subject, 'dir/file') & 0o2000, 0);
    },
  },
  {
    name: 'arguments of mkdir are checked',
    run(subject) {
      const wrong: unknown = 'yes';
      expectNodeError(
        // The wrong type is the point of the case.
        () => subject.fs.mkdirSync(at(subject, 'dir'), { recursive: wrong as boolean }),
        'ERR_INVALID_ARG_TYPE',
      );
      expectNodeError(() => subject.fs.mkdirSync(at(subject, 'dir'), '8'), 'ERR_INVALID_ARG_VALUE');
      expectAbsent(subject, 'dir');
    },
  },
];

const removeCases: ConformanceCase[] = [
  {
    name: 'rmdir removes an empty directory',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.rmdirSync(at(subject, 'dir'));
      expectAbsent(subject, 'dir');
    },
  },
  {
    name: 'rmdir: ENOTEMPTY, ENOENT, ENOTDIR',
    run(subject) {
      makeTree(subject);
      const rows = [
        ['tree', 'ENOTEMPTY'],
        ['missing', 'ENOENT'],
        ['tree/a', 'ENOTDIR'],
        ['tree/link', 'ENOTDIR'],
        ['tree/a/x', 'ENOTDIR'],
      ] as const;
      for (const [name, code] of rows) {
        const path = at(subject, name);
        expectError(() => subject.fs.rmdirSync(path), { code, syscall: 'rmdir', path });
      }
    },
  },
  {
    name: "rmdir of '.' is EINVAL and of '..' ENOTEMPTY",
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir/sub'), { recursive: true });
      expectError(() => subject.fs.rmdirSync(at(subject, 'dir/sub/.')), { code: 'EINVAL' });
      expectError(() => subject.fs.rmdirSync(at(subject, 'dir/sub/..')), { code: 'ENOTEMPTY' });
    },
  },
  {
    name: 'nothing can be made in a removed directory that is open',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      withFile(subject, 'dir', 'r', (fd) => {
        subject.fs.rmdirSync(at(subject, 'dir'));
        const stat = subject.fs.fstatSync(fd);
        assert.equal(stat.nlink, 0);
        assert.ok(stat.isDirectory());
      });
      expectError(() => subject.fs.writeFileSync(at(subject, 'dir/file'), ''), { code: 'ENOENT' });
    },
  },
  {
    name: 'a name is free again after rmdir, for a file too',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'name'));
      subject.fs.rmdirSync(at(subject, 'name'));
      subject.fs.writeFileSync(at(subject, 'name'), 'file');
      assert.ok(subject.fs.statSync(at(subject, 'name')).isFile());
    },
  },
];

const temporaryCases: ConformanceCase[] = [
  {
    name: 'mkdtemp adds six characters and gives 0700',
    run(subject) {
      const path = subject.fs.mkdtempSync(at(subject, 'temp-'));
      assert.match(path.slice(at(subject, 'temp-').length), /^[A-Za-z0-9]{6}$/);
      assert.ok(subject.fs.statSync(path).isDirectory());
      assert.equal(subject.fs.statSync(path).mode & 0o777, 0o700 & ~subject.umask);
    },
  },
  {
    name: 'mkdtemp gives another name each time, by promise too',
    async run(subject) {
      const names = new Set([
        subject.fs.mkdtempSync(at(subject, 't')),
        subject.fs.mkdtempSync(at(subject, 't')),
        await subject.fs.promises.mkdtemp(at(subject, 't')),
      ]);
      assert.equal(names.size, 3);
    },
  },
  {
    name: 'mkdtemp in a missing directory is ENOENT and names the pattern',
    run(subject) {
      const prefix = at(subject, 'missing/t');
      expectError(() => subject.fs.mkdtempSync(prefix), {
        code: 'ENOENT',
        syscall: 'mkdtemp',
        path: `${prefix}XXXXXX`,
      });
    },
  },
];

const listCases: ConformanceCase[] = [
  {
    name: 'readdir lists names without . and ..',
    run(subject) {
      makeTree(subject);
      assert.deepEqual(namesIn(subject, 'tree'), ['a', 'b', 'link']);
      assert.deepEqual(namesIn(subject, 'tree/b/c'), []);
    },
  },
  {
    name: 'readdir through a symbolic link lists the target',
    run(subject) {
      makeTree(subject);
      assert.deepEqual(namesIn(subject, 'tree/link'), ['c', 'd']);
    },
  },
  {
    name: 'readdir: ENOENT and ENOTDIR, by promise too',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      for (const [name, code] of [
        ['missing', 'ENOENT'],
        ['file', 'ENOTDIR'],
      ] as const) {
        const path = at(subject, name);
        expectError(() => subject.fs.readdirSync(path), { code, syscall: 'scandir', path });
        await expectRejection(() => subject.fs.promises.readdir(path), { code, syscall: 'scandir', path });
      }
    },
  },
  {
    name: "readdir with encoding 'buffer' gives bytes",
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'é'), '');
      const names = subject.fs.readdirSync(subject.root, 'buffer');
      assert.deepEqual(names, [Buffer.from('é')]);
    },
  },
  {
    name: 'readdir withFileTypes tells kinds and parent',
    run(subject) {
      makeTree(subject);
      const entries = subject.fs.readdirSync(at(subject, 'tree'), { withFileTypes: true });
      const kinds = entries.map((entry) => {
        assert.equal(entry.parentPath, at(subject, 'tree'));
        assert.ok(!entry.isFIFO() && !entry.isSocket() && !entry.isBlockDevice());
        return [entry.name, entry.isFile(), entry.isDirectory(), entry.isSymbolicLink()];
      });
      assert.deepEqual(kinds.sort(), [
        ['a', true, false, false],
        ['b', false, true, false],
        ['link', false, false, true],
      ]);
    },
  },
  {
    name: "readdir withFileTypes and 'buffer' gives names as bytes",
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      const entries = subject.fs.readdirSync(subject.root, { withFileTypes: true, encoding: 'buffer' });
      assert.equal(entries.length, 1);
      assert.deepEqual(Buffer.from(entries[0]!.name), Buffer.from('dir'));
      assert.ok(entries[0]!.isDirectory());
    },
  },
  {
    name: 'readdir recursive lists what is below, also below links to directories',
    run(subject) {
      makeTree(subject);
      const names = subject.fs.readdirSync(at(subject, 'tree'), { recursive: true });
      // Node asks what each name leads to, and so goes through symbolic links.
      assert.deepEqual(names.map(String).sort(), ['a', 'b', 'b/c', 'b/d', 'link', 'link/c', 'link/d']);
    },
  },
  {
    name: 'readdir recursive withFileTypes gives the directory of each entry',
    run(subject) {
      makeTree(subject);
      const entries = subject.fs.readdirSync(at(subject, 'tree'), { recursive: true, withFileTypes: true });
      const tree = at(subject, 'tree');
      // Node 20 does not follow links here and Node 24 does, so nothing below a link is compared.
      const own = entries.filter((entry) => entry.parentPath !== `${tree}/link`);
      const found = own.map((entry) => `${entry.parentPath}|${entry.name}`).sort();
      assert.deepEqual(
        found,
        [`${tree}/b|c`, `${tree}/b|d`, `${tree}|a`, `${tree}|b`, `${tree}|link`].sort(),
      );
    },
  },
  {
    name: 'promises.readdir: plain, recursive, with types',
    async run(subject) {
      makeTree(subject);
      const { promises } = subject.fs;
      const tree = at(subject, 'tree');
      assert.deepEqual((await promises.readdir(tree)).sort(), ['a', 'b', 'link']);
      const below = await promises.readdir(tree, { recursive: true });
      assert.deepEqual(below.sort(), ['a', 'b', 'b/c', 'b/d', 'link', 'link/c', 'link/d']);
      const typed = await promises.readdir(tree, { withFileTypes: true });
      assert.deepEqual(
        typed.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
        ['b'],
      );
    },
  },
  {
    name: 'a directory of 1,000 names lists each exactly once',
    run(subject) {
      const expected = Array.from({ length: 1000 }, (_, index) => `file-${String(index).padStart(4, '0')}`);
      for (const name of expected) subject.fs.writeFileSync(at(subject, name), '');
      assert.deepEqual(namesIn(subject, '.'), expected);
      for (const name of expected.slice(0, 999)) subject.fs.unlinkSync(at(subject, name));
      assert.deepEqual(namesIn(subject, '.'), ['file-0999']);
    },
  },
];

const openCases: ConformanceCase[] = [
  {
    name: 'opendir reads entries one by one and then null',
    run(subject) {
      makeTree(subject);
      const directory = subject.fs.opendirSync(at(subject, 'tree'));
      assert.equal(directory.path, at(subject, 'tree'));
      const names: string[] = [];
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync())
        names.push(entry.name);
      assert.equal(directory.readSync(), null);
      directory.closeSync();
      assert.deepEqual(names.sort(), ['a', 'b', 'link']);
    },
  },
  {
    name: 'opendir iterates and closes itself',
    async run(subject) {
      makeTree(subject);
      const directory = await subject.fs.promises.opendir(at(subject, 'tree'));
      const names: string[] = [];
      for await (const entry of directory) names.push(`${entry.name}${entry.isDirectory() ? '/' : ''}`);
      assert.deepEqual(names.sort(), ['a', 'b/', 'link']);
      await expectNodeRejection(() => directory.close(), 'ERR_DIR_CLOSED');
    },
  },
  {
    name: 'a closed directory is ERR_DIR_CLOSED',
    run(subject) {
      const directory = subject.fs.opendirSync(subject.root);
      directory.closeSync();
      expectNodeError(() => directory.readSync(), 'ERR_DIR_CLOSED');
      expectNodeError(() => directory.closeSync(), 'ERR_DIR_CLOSED');
    },
  },
  {
    name: 'opendir: ENOENT and ENOTDIR, without the path',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const missing = at(subject, 'missing');
      const file = at(subject, 'file');
      expectError(() => subject.fs.opendirSync(missing), { code: 'ENOENT', syscall: 'opendir' });
      expectError(() => subject.fs.opendirSync(file), { code: 'ENOTDIR', syscall: 'opendir' });
    },
  },
  {
    name: 'entries removed while a directory is read do not disturb the others',
    run(subject) {
      const count = 300;
      for (let index = 0; index < count; index++) subject.fs.writeFileSync(at(subject, `f${index}`), '');
      const directory = subject.fs.opendirSync(subject.root);
      const seen = new Map<string, number>();
      for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
        seen.set(entry.name, (seen.get(entry.name) ?? 0) + 1);
        subject.fs.unlinkSync(at(subject, entry.name));
      }
      directory.closeSync();
      assert.equal(seen.size, count);
      assert.ok([...seen.values()].every((times) => times === 1));
      assert.deepEqual(namesIn(subject, '.'), []);
    },
  },
  {
    name: 'making and removing entries moves mtime and ctime of the directory',
    needs: ['clockMoves'],
    async run(subject) {
      const time = (): bigint => subject.fs.statSync(subject.root, { bigint: true }).mtimeNs;
      const empty = time();
      await waitForClock();
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const made = time();
      assert.ok(made > empty);
      await waitForClock();
      subject.fs.writeFileSync(at(subject, 'file'), 'content');
      assert.equal(time(), made);
      subject.fs.unlinkSync(at(subject, 'file'));
      assert.ok(time() > made);
      assert.equal(subject.fs.statSync(subject.root).mode & constants.S_IFMT, constants.S_IFDIR);
    },
  },
];

export const directoryGroup: CaseGroup = {
  name: 'directory',
  cases: [...makeCases, ...removeCases, ...temporaryCases, ...listCases, ...openCases],
};
