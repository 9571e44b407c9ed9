/** Paths: slashes, dots, long names, bytes that are not UTF-8, URLs, realpath. */
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import {
  at,
  expectAbsent,
  expectContent,
  expectError,
  expectNodeError,
  expectRejection,
  namesIn,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

/** A path of bytes inside the directory of the case. */
function bytePath(subject: FsSubject, ...name: number[]): Buffer {
  return Buffer.concat([Buffer.from(`${subject.root}/`), Buffer.from(name)]);
}

const walkCases: ConformanceCase[] = [
  {
    name: "doubled slashes, '.' and '..' lead where they should",
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'a/b'), { recursive: true });
      subject.fs.writeFileSync(at(subject, 'a/file'), 'here');
      for (const path of [
        'a//file',
        'a/./file',
        './a/file',
        'a/b/../file',
        'a/b/.././/../a/file',
        '///a///file',
      ]) {
        expectContent(subject, path, 'here');
      }
    },
  },
  {
    name: "'..' above the root stays at the root",
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'here');
      const path = `${'/..'.repeat(50)}${at(subject, 'file')}`;
      assert.equal(subject.fs.readFileSync(path, 'utf8'), 'here');
    },
  },
  {
    name: "'..' after a link goes to the parent of the link's target",
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'deep/dir'), { recursive: true });
      subject.fs.writeFileSync(at(subject, 'deep/file'), 'deep');
      subject.fs.writeFileSync(at(subject, 'file'), 'top');
      subject.fs.symlinkSync('deep/dir', at(subject, 'link'));
      expectContent(subject, 'link/../file', 'deep');
    },
  },
  {
    name: "'..' after a missing name or a plain file fails",
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      expectError(() => subject.fs.statSync(at(subject, 'missing/../file')), { code: 'ENOENT' });
      expectError(() => subject.fs.statSync(at(subject, 'file/../file')), { code: 'ENOTDIR' });
      expectError(() => subject.fs.statSync(at(subject, 'file/.')), { code: 'ENOTDIR' });
    },
  },
  {
    name: 'a trailing slash is ENOTDIR on a file and ignored on a directory',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'x');
      subject.fs.mkdirSync(at(subject, 'dir'));
      const path = at(subject, 'file/');
      expectError(() => subject.fs.statSync(path), { code: 'ENOTDIR', syscall: 'stat', path });
      expectError(() => subject.fs.openSync(path, 'r'), { code: 'ENOTDIR', syscall: 'open', path });
      assert.ok(subject.fs.statSync(at(subject, 'dir/')).isDirectory());
      assert.ok(subject.fs.statSync(at(subject, 'dir//')).isDirectory());
    },
  },
  {
    name: 'a trailing slash on a link follows it, for lstat too',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.symlinkSync('dir', at(subject, 'link'));
      assert.ok(subject.fs.lstatSync(at(subject, 'link')).isSymbolicLink());
      assert.ok(subject.fs.lstatSync(at(subject, 'link/')).isDirectory());
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.symlinkSync('file', at(subject, 'other'));
      expectError(() => subject.fs.lstatSync(at(subject, 'other/')), { code: 'ENOTDIR' });
    },
  },
  {
    name: 'a name with a trailing slash does not create a file',
    run(subject) {
      const path = at(subject, 'new/');
      expectError(() => subject.fs.openSync(path, 'w'), { code: 'EISDIR', syscall: 'open', path });
      expectAbsent(subject, 'new');
    },
  },
  {
    name: 'the empty path is ENOENT',
    run(subject) {
      expectError(() => subject.fs.statSync(''), { code: 'ENOENT', syscall: 'stat', path: '' });
      expectError(() => subject.fs.openSync('', 'r'), { code: 'ENOENT', syscall: 'open', path: '' });
      expectError(() => subject.fs.mkdirSync(''), { code: 'ENOENT', syscall: 'mkdir', path: '' });
    },
  },
];

const nameCases: ConformanceCase[] = [
  {
    name: 'a name of 255 bytes is accepted, one of 256 is ENAMETOOLONG',
    run(subject) {
      const good = 'n'.repeat(255);
      subject.fs.writeFileSync(at(subject, good), 'x');
      assert.deepEqual(namesIn(subject, '.'), [good]);
      const path = at(subject, `${good}n`);
      expectError(() => subject.fs.writeFileSync(path, ''), { code: 'ENAMETOOLONG', syscall: 'open', path });
      expectError(() => subject.fs.statSync(path), { code: 'ENAMETOOLONG', syscall: 'stat', path });
      expectError(() => subject.fs.mkdirSync(path), { code: 'ENAMETOOLONG', syscall: 'mkdir', path });
    },
  },
  {
    name: 'the limit counts bytes, not characters',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'é'.repeat(127)), '');
      expectError(() => subject.fs.writeFileSync(at(subject, 'é'.repeat(128)), ''), { code: 'ENAMETOOLONG' });
    },
  },
  {
    name: 'a path of 4,096 bytes or more is ENAMETOOLONG',
    run(subject) {
      const path = `${subject.root}/${'./'.repeat(2048)}file`;
      expectError(() => subject.fs.statSync(path), { code: 'ENAMETOOLONG', syscall: 'stat', path });
      const fits = `${subject.root}/${'./'.repeat(1500)}file`;
      subject.fs.writeFileSync(fits, 'ok');
      expectContent(subject, 'file', 'ok');
    },
  },
  {
    name: 'unusual names: spaces, newlines, backslashes, quotes, leading dashes and dots',
    run(subject) {
      const names = [
        ' ',
        'a b',
        'new\nline',
        'back\\slash',
        '"quotes\'',
        '-dash',
        '.hidden',
        '...',
        '*?',
        '~',
        '\x01',
      ];
      for (const name of names) subject.fs.writeFileSync(at(subject, name), name);
      assert.deepEqual(namesIn(subject, '.'), [...names].sort());
      for (const name of names) expectContent(subject, name, name);
    },
  },
  {
    name: 'names beyond ASCII are accepted, and two Unicode forms of one letter are two names',
    run(subject) {
      const names = ['\u00e9', 'e\u0301', '日本語', '😀', 'İ', 'ß'];
      for (const name of names) subject.fs.writeFileSync(at(subject, name), '');
      assert.deepEqual(namesIn(subject, '.'), [...names].sort());
    },
  },
  {
    name: 'upper and lower case are different names',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'Name'), 'upper');
      subject.fs.writeFileSync(at(subject, 'name'), 'lower');
      expectContent(subject, 'Name', 'upper');
      expectContent(subject, 'name', 'lower');
    },
  },
  {
    name: 'a name that is not UTF-8 is made, listed, read and removed by its bytes',
    run(subject) {
      const path = bytePath(subject, 0x61, 0xff, 0xfe);
      subject.fs.writeFileSync(path, 'bytes');
      assert.equal(subject.fs.readFileSync(path, 'utf8'), 'bytes');
      assert.deepEqual(subject.fs.readdirSync(subject.root, 'buffer'), [Buffer.from([0x61, 0xff, 0xfe])]);
      assert.deepEqual(subject.fs.readdirSync(subject.root), ['a\ufffd\ufffd']);
      // Decoded to text and encoded again, it is another name.
      expectError(() => subject.fs.statSync(at(subject, 'a\ufffd\ufffd')), { code: 'ENOENT' });
      subject.fs.renameSync(path, bytePath(subject, 0x80));
      subject.fs.unlinkSync(bytePath(subject, 0x80));
      assert.deepEqual(namesIn(subject, '.'), []);
    },
  },
  {
    name: 'Uint8Array paths are accepted',
    run(subject) {
      const path = new Uint8Array(Buffer.from(at(subject, 'file')));
      // Node's types say Buffer where its documentation and code say Buffer or Uint8Array.
      subject.fs.writeFileSync(wrongType(path), 'x');
      expectContent(subject, 'file', 'x');
    },
  },
  {
    name: 'file: URLs are accepted, and their escapes decoded',
    run(subject) {
      const url = pathToFileURL(at(subject, 'a b%c'));
      subject.fs.writeFileSync(url, 'url');
      expectContent(subject, 'a b%c', 'url');
      assert.equal(subject.fs.statSync(url).size, 3);
    },
  },
  {
    name: 'paths of a wrong type or with a zero byte are refused',
    async run(subject) {
      for (const path of [5, null, undefined, {}, true]) {
        expectNodeError(() => subject.fs.statSync(wrongType(path)), 'ERR_INVALID_ARG_TYPE');
        expectNodeError(() => subject.fs.openSync(wrongType(path), 'r'), 'ERR_INVALID_ARG_TYPE');
      }
      expectNodeError(() => subject.fs.statSync(at(subject, 'a\0b')), 'ERR_INVALID_ARG_VALUE');
      expectNodeError(() => subject.fs.mkdirSync(Buffer.from('a\0b')), 'ERR_INVALID_ARG_VALUE');
      expectNodeError(() => subject.fs.renameSync(subject.root, wrongType(1)), 'ERR_INVALID_ARG_TYPE');
      expectNodeError(() => subject.fs.linkSync(subject.root, 'a\0b'), 'ERR_INVALID_ARG_VALUE');
    },
  },
];

const realpathCases: ConformanceCase[] = [
  {
    name: 'realpath resolves dots and links',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'a/b'), { recursive: true });
      subject.fs.writeFileSync(at(subject, 'a/file'), '');
      subject.fs.symlinkSync('a/b', at(subject, 'link'));
      subject.fs.symlinkSync('link/../file', at(subject, 'other'));
      assert.equal(subject.fs.realpathSync(at(subject, 'link')), at(subject, 'a/b'));
      // realpathSync cancels 'link/..' in the text before it looks anything up; realpath(3) walks the path.
      assert.equal(subject.fs.realpathSync.native(at(subject, 'other')), at(subject, 'a/file'));
      assert.equal(subject.fs.realpathSync(at(subject, 'a/./b/')), at(subject, 'a/b'));
      assert.equal(subject.fs.realpathSync(subject.root), subject.root);
      assert.equal(subject.fs.realpathSync('/'), '/');
    },
  },
  {
    name: 'realpath.native and promises.realpath agree',
    async run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.symlinkSync('dir', at(subject, 'link'));
      assert.equal(subject.fs.realpathSync.native(at(subject, 'link')), at(subject, 'dir'));
      assert.equal(await subject.fs.promises.realpath(at(subject, 'link')), at(subject, 'dir'));
      assert.deepEqual(
        subject.fs.realpathSync(at(subject, 'link'), 'buffer'),
        Buffer.from(at(subject, 'dir')),
      );
    },
  },
  {
    name: 'realpath of a dangling link is ENOENT, of a link to itself ELOOP',
    async run(subject) {
      subject.fs.symlinkSync('nowhere', at(subject, 'link'));
      subject.fs.symlinkSync('ring', at(subject, 'ring'));
      expectError(() => subject.fs.realpathSync(at(subject, 'link')), { code: 'ENOENT' });
      const ring = at(subject, 'ring');
      expectError(() => subject.fs.realpathSync(ring), { code: 'ELOOP' });
      expectError(() => subject.fs.realpathSync.native(ring), {
        code: 'ELOOP',
        syscall: 'realpath',
        path: ring,
      });
      const path = at(subject, 'missing');
      await expectRejection(() => subject.fs.promises.realpath(path), {
        code: 'ENOENT',
        syscall: 'realpath',
        path,
      });
    },
  },
];

export const pathsGroup: CaseGroup = { name: 'paths', cases: [...walkCases, ...nameCases, ...realpathCases] };
