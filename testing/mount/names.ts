/** Directories of a lower layer that are renamed, exchanged, and read while they change; files without a name. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { equalBytes } from '../conformance/expect.ts';
import {
  check,
  libc,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  readDirectory,
  renameWith,
  systemError,
} from '../host/libc.ts';
import { dropPages, fileContent, largeContent, type MountCase, type MountGroup, PAGE } from './mount-case.ts';

const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const SEEK_SET = 0;
const FALLOC_FL_PUNCH = 3;
const NAMES_COUNT = 1000;
const CHUNK_BYTES = 4096;

const renameCases: readonly MountCase[] = [
  {
    name: 'a directory of a lower layer is renamed, with what is open in it',
    run(root) {
      const fd = openSync(`${root}/directory/inner/deep`, 'r+');
      mkdirSync(`${root}/other`);
      renameSync(`${root}/directory`, `${root}/other/renamed`);
      writeSync(fd, 'DEEP', 0);
      dropPages(fd);
      assert.equal(readFileSync(`${root}/other/renamed/inner/deep`, 'utf8'), 'DEEP\n');
      assert.deepEqual(readdirSync(`${root}/other/renamed`).sort(), ['inner', 'shallow']);
      assert.throws(() => statSync(`${root}/directory`), { code: 'ENOENT' });
      assert.equal(statSync(`${root}/other/renamed/..`).ino, statSync(`${root}/other`).ino);
      closeSync(fd);
    },
  },
  {
    name: 'a directory that was changed, then renamed over an empty one, keeps both kinds of names',
    run(root) {
      writeFileSync(`${root}/directory/new`, 'new');
      unlinkSync(`${root}/directory/shallow`);
      renameSync(`${root}/directory`, `${root}/empty`);
      assert.deepEqual(readdirSync(`${root}/empty`).sort(), ['inner', 'new']);
      mkdirSync(`${root}/directory`);
      assert.deepEqual(readdirSync(`${root}/directory`), []);
      rmSync(`${root}/empty`, { recursive: true });
      assert.equal(existsSync(`${root}/empty`), false);
    },
  },
  {
    name: 'RENAME_EXCHANGE swaps a file and a directory, RENAME_NOREPLACE refuses a name that is taken',
    run(root) {
      const [file, directory] = [statSync(`${root}/file`).ino, statSync(`${root}/directory`).ino];
      renameWith(RENAME_EXCHANGE, `${root}/file`, `${root}/directory`);
      assert.equal(statSync(`${root}/file`).ino, directory);
      assert.equal(statSync(`${root}/directory`).ino, file);
      assert.equal(readFileSync(`${root}/file/inner/deep`, 'utf8'), 'deep\n');
      const taken = (): void => renameWith(RENAME_NOREPLACE, `${root}/small`, `${root}/first`);
      assert.throws(taken, { code: 'EEXIST' });
      renameWith(RENAME_NOREPLACE, `${root}/small`, `${root}/free`);
      assert.equal(readFileSync(`${root}/free`, 'utf8'), 'small\n');
    },
  },
  {
    name: 'a directory that is not empty is neither removed nor replaced',
    run(root) {
      for (const code of ['ENOTEMPTY']) {
        assert.throws(() => rmdirSync(`${root}/directory`), { code });
        assert.throws(() => renameSync(`${root}/empty`, `${root}/directory`), { code });
      }
      assert.throws(() => renameSync(`${root}/directory`, `${root}/directory/inner/in`), { code: 'EINVAL' });
    },
  },
];

/** A name so long that a read of 4 KiB returns only some dozens. */
function nameOf(index: number): string {
  return `a-name-that-takes-its-place-${index}`;
}

function addNames(root: string): void {
  mkdirSync(`${root}/names`);
  for (let index = 0; index < NAMES_COUNT; index++) writeFileSync(`${root}/names/${nameOf(index)}`, '');
}

function withDirectory<T>(path: string, action: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return action(fd);
  } finally {
    closeSync(fd);
  }
}

/** Reads an open directory to its end, and counts how often each name comes. */
function countNames(fd: number, counts = new Map<string, number>()): Map<string, number> {
  for (;;) {
    const entries = readDirectory(fd, CHUNK_BYTES);
    if (entries.length === 0) return counts;
    for (const { name } of entries) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
}

const directoryCases: readonly MountCase[] = [
  {
    name: 'names that stay while a directory is read appear once, whatever comes and goes meanwhile',
    fill: addNames,
    run(root) {
      withDirectory(`${root}/names`, (fd) => {
        const counts = new Map<string, number>();
        for (const { name } of readDirectory(fd, CHUNK_BYTES)) counts.set(name, 1);
        for (let index = 0; index < NAMES_COUNT; index += 2) unlinkSync(`${root}/names/${nameOf(index)}`);
        for (let index = 0; index < 200; index++) writeFileSync(`${root}/names/new-${index}`, '');
        renameSync(`${root}/names/${nameOf(1)}`, `${root}/names/renamed`);
        countNames(fd, counts);
        for (let index = 3; index < NAMES_COUNT; index += 2)
          assert.equal(counts.get(nameOf(index)), 1, nameOf(index));
        for (const [name, count] of counts) assert.equal(count, 1, name);
        assert.ok(counts.has('.') && counts.has('..'));
      });
      withDirectory(`${root}/names`, (fd) => assert.equal(countNames(fd).size, 2 + NAMES_COUNT / 2 + 200));
    },
  },
  {
    name: 'a place in a directory (telldir) leads back to the same entry (seekdir), and rewinding shows what is new',
    fill: addNames,
    run(root) {
      withDirectory(`${root}/names`, (fd) => {
        const first = readDirectory(fd, CHUNK_BYTES);
        const second = readDirectory(fd, CHUNK_BYTES);
        const [place, next] = [first[10]!.next, first[11]!.name];
        check(libc().lseek(fd, place, SEEK_SET), 'lseek');
        assert.equal(readDirectory(fd, CHUNK_BYTES)[0]!.name, next);
        check(libc().lseek(fd, first.at(-1)!.next, SEEK_SET), 'lseek');
        assert.deepEqual(readDirectory(fd, CHUNK_BYTES)[0], second[0]);
        writeFileSync(`${root}/names/new`, '');
        check(libc().lseek(fd, 0, SEEK_SET), 'lseek');
        const counts = countNames(fd);
        assert.equal(counts.get('new'), 1);
        assert.equal(counts.size, NAMES_COUNT + 3);
      });
    },
  },
  {
    name: 'removing a directory name by name while it is read empties it',
    fill: addNames,
    run(root) {
      withDirectory(`${root}/names`, (fd) => {
        for (;;) {
          const entries = readDirectory(fd, CHUNK_BYTES).filter(({ name }) => !/^\.\.?$/.test(name));
          if (entries.length === 0) break;
          for (const { name } of entries) unlinkSync(`${root}/names/${name}`);
        }
      });
      rmdirSync(`${root}/names`);
    },
  },
];

const namelessCases: readonly MountCase[] = [
  {
    name: 'a file made with O_TMPFILE gets a name by link',
    run(root) {
      const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
      const fd = openSync(`${root}/directory`, O_TMPFILE | constants.O_RDWR, 0o640);
      writeSync(fd, 'nameless');
      assert.equal(fstatSync(fd).nlink, 0);
      assert.equal(readdirSync(`${root}/directory`).length, 2);
      const path = `/proc/self/fd/${fd}`;
      const result = libc().linkat(AT_FDCWD, path, AT_FDCWD, `${root}/directory/named`, AT_SYMLINK_FOLLOW);
      check(result, 'linkat');
      closeSync(fd);
      assert.equal(readFileSync(`${root}/directory/named`, 'utf8'), 'nameless');
      assert.equal(statSync(`${root}/directory/named`).mode & 0o777, 0o640);
    },
  },
  {
    name: 'a socket in it is listened on and connected to',
    async run(root) {
      const server = createServer((peer) => peer.end('hello'));
      server.listen(`${root}/socket`);
      await once(server, 'listening');
      assert.ok(statSync(`${root}/socket`).isSocket());
      const client = connect(`${root}/socket`);
      const [bytes] = (await once(client, 'data')) as [Buffer]; // What a net.Socket gives without an encoding.
      assert.equal(bytes.toString(), 'hello');
      client.destroy();
      server.close();
      await once(server, 'close');
    },
  },
];

const spaceCases: readonly MountCase[] = [
  {
    name: 'copy_file_range of a whole file, after which each is changed alone',
    run(root) {
      const source = openSync(`${root}/large`, 'r');
      const target = openSync(`${root}/copy`, 'wx+');
      for (let done = 0; done < largeContent.length; ) {
        const count = libc().copy_file_range(source, null, target, null, largeContent.length - done, 0);
        if (count <= 0) throw systemError('copy_file_range');
        done += count;
      }
      writeSync(target, 'changed', 10_000);
      dropPages(target);
      const expected = Buffer.from(largeContent);
      expected.write('changed', 10_000);
      equalBytes(readFileSync(`${root}/copy`), expected, 'the copy');
      equalBytes(readFileSync(`${root}/large`), largeContent, 'the source');
      closeSync(source);
      closeSync(target);
    },
  },
  {
    name: 'SEEK_HOLE and SEEK_DATA find a hole that was punched',
    run(root) {
      const fd = openSync(`${root}/large`, 'r+');
      check(libc().fallocate(fd, FALLOC_FL_PUNCH, 16 * PAGE, 32 * PAGE), 'fallocate');
      dropPages(fd);
      assert.equal(libc().lseek(fd, 0, SEEK_HOLE), 16 * PAGE);
      assert.equal(libc().lseek(fd, 17 * PAGE, SEEK_DATA), 48 * PAGE);
      assert.equal(libc().lseek(fd, 48 * PAGE, SEEK_HOLE), largeContent.length);
      assert.throws(() => check(libc().lseek(fd, largeContent.length, SEEK_DATA), 'lseek'), {
        code: 'ENXIO',
      });
      closeSync(fd);
    },
  },
  {
    name: 'a file beyond 4 GiB, nearly all of it a hole',
    run(root) {
      const position = 5 * 2 ** 30 + 17;
      const fd = openSync(`${root}/file`, 'r+');
      writeSync(fd, 'far away', position);
      dropPages(fd);
      assert.equal(fstatSync(fd).size, position + 8);
      assert.ok(fstatSync(fd).blocks < 10_000, 'the hole takes no space');
      const tail = Buffer.alloc(100);
      const count = readSync(fd, tail, 0, 100, position - 10);
      assert.equal(tail.toString('latin1', 0, count), `${'\0'.repeat(10)}far away`);
      const start = Buffer.alloc(fileContent.length);
      readSync(fd, start, 0, start.length, 0);
      equalBytes(start, fileContent, 'what was there before');
      closeSync(fd);
    },
  },
  {
    name: 'statfs tells of space and names',
    run(root) {
      const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(root);
      assert.ok(bsize > 0 && blocks > 0 && bfree <= blocks && bavail <= bfree && ffree <= files);
    },
  },
];

export const namesGroup: MountGroup = {
  name: 'names',
  cases: [...renameCases, ...directoryCases, ...namelessCases, ...spaceCases],
};
