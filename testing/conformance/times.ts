/** utimes, and the operations that move mtime and ctime. */
import assert from 'node:assert/strict';
import {
  at,
  expectError,
  expectNodeError,
  expectRejection,
  waitForClock,
  withFile,
  wrongType,
} from './expect.ts';
import type { CaseGroup, ConformanceCase, FsSubject } from './subject.ts';

interface Times {
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

function timesOf(subject: FsSubject, relative: string): Times {
  const { mtimeNs, ctimeNs } = subject.fs.lstatSync(at(subject, relative), { bigint: true });
  return { mtimeNs, ctimeNs };
}

type Moved = 'both' | 'ctime' | 'none';

const movedText: Readonly<Record<Moved, string>> = {
  both: 'mtime and ctime',
  ctime: 'ctime, not mtime',
  none: 'neither mtime nor ctime',
};

interface MoveRow {
  readonly name: string;
  readonly moved: Moved;
  prepare?(subject: FsSubject, path: string): void;
  change(subject: FsSubject, path: string): void;
}

/** What each change of a file does to its times, from inode(7). */
const moveRows: readonly MoveRow[] = [
  {
    name: 'a write',
    moved: 'both',
    change: (subject, path) => subject.fs.appendFileSync(path, 'more'),
  },
  {
    name: 'a truncate to another size',
    moved: 'both',
    change: (subject, path) => subject.fs.truncateSync(path, 2),
  },
  {
    name: 'an open with O_TRUNC',
    moved: 'both',
    change: (subject, path) => subject.fs.closeSync(subject.fs.openSync(path, 'w')),
  },
  {
    name: 'an open with O_TRUNC of an empty file',
    moved: 'both',
    prepare: (subject, path) => subject.fs.truncateSync(path),
    change: (subject, path) => subject.fs.closeSync(subject.fs.openSync(path, 'w')),
  },
  {
    name: 'an ftruncate to the same size',
    moved: 'both',
    change: (subject, path) => subject.fs.truncateSync(path, 4),
  },
  {
    name: 'a chmod',
    moved: 'ctime',
    change: (subject, path) => subject.fs.chmodSync(path, 0o600),
  },
  {
    name: 'a link',
    moved: 'ctime',
    change: (subject, path) => subject.fs.linkSync(path, `${path}-2`),
  },
  {
    name: 'a rename',
    moved: 'ctime',
    change(subject, path) {
      subject.fs.renameSync(path, `${path}-2`);
      subject.fs.renameSync(`${path}-2`, path);
    },
  },
  {
    name: 'an open for reading and writing without a write',
    moved: 'none',
    change: (subject, path) => subject.fs.closeSync(subject.fs.openSync(path, 'r+')),
  },
  {
    name: 'a read',
    moved: 'none',
    change: (subject, path) => void subject.fs.readFileSync(path),
  },
  {
    name: 'an empty write',
    moved: 'none',
    change(subject, path) {
      const fd = subject.fs.openSync(path, 'r+');
      subject.fs.writeSync(fd, Buffer.alloc(1), 0, 0, 0);
      subject.fs.closeSync(fd);
    },
  },
];

const moveCases = moveRows.map(
  (row): ConformanceCase => ({
    name: `${row.name} moves ${movedText[row.moved]}`,
    needs: ['clockMoves'],
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      row.prepare?.(subject, at(subject, 'file'));
      const before = timesOf(subject, 'file');
      await waitForClock();
      row.change(subject, at(subject, 'file'));
      const after = timesOf(subject, 'file');
      assert.equal(after.mtimeNs > before.mtimeNs, row.moved === 'both', 'mtime moved');
      assert.equal(after.ctimeNs > before.ctimeNs, row.moved !== 'none', 'ctime moved');
      assert.ok(after.mtimeNs >= before.mtimeNs && after.ctimeNs >= before.ctimeNs);
    },
  }),
);

const utimesCases: ConformanceCase[] = [
  {
    name: 'utimes takes seconds, Dates and text',
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, '');
      subject.fs.utimesSync(path, 1000, 2000.5);
      let stat = subject.fs.statSync(path);
      assert.deepEqual([stat.atimeMs, stat.mtimeMs], [1_000_000, 2_000_500]);
      subject.fs.utimesSync(path, new Date(123_500), new Date(789_250));
      stat = subject.fs.statSync(path);
      assert.deepEqual([stat.atimeMs, stat.mtimeMs], [123_500, 789_250]);
      assert.deepEqual([stat.atime.getTime(), stat.mtime.getTime()], [123_500, 789_250]);
      subject.fs.utimesSync(path, '3000', '4000');
      stat = subject.fs.statSync(path);
      assert.deepEqual([stat.atimeMs, stat.mtimeMs], [3_000_000, 4_000_000]);
    },
  },
  {
    name: 'times before 1970 and after 2038 are kept',
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, '');
      subject.fs.utimesSync(path, 5_000_000_000, 6_000_000_000);
      let stat = subject.fs.statSync(path, { bigint: true });
      assert.deepEqual(
        [stat.atimeNs, stat.mtimeNs],
        [5_000_000_000n * 10n ** 9n, 6_000_000_000n * 10n ** 9n],
      );
      subject.fs.utimesSync(path, new Date(-3_600_000), new Date(-1_000));
      stat = subject.fs.statSync(path, { bigint: true });
      assert.deepEqual([stat.atimeNs, stat.mtimeNs], [-3_600n * 10n ** 9n, -(10n ** 9n)]);
    },
  },
  {
    name: 'times are kept to the microsecond, and stats as bigint and as number agree',
    needs: ['nanosecondTimes'],
    run(subject) {
      const path = at(subject, 'file');
      subject.fs.writeFileSync(path, '');
      // Both times are exact in binary.
      subject.fs.utimesSync(path, 1000.25, 2000.0009765625);
      const exact = subject.fs.statSync(path, { bigint: true });
      assert.equal(exact.atimeNs, 1_000_250_000_000n);
      // Node 20 passes whole microseconds to the kernel, rounded down; later versions pass nanoseconds.
      assert.equal(exact.mtimeNs / 1000n, 2_000_000_976n);
      assert.equal(exact.mtimeMs, exact.mtimeNs / 1_000_000n);
      const plain = subject.fs.statSync(path);
      assert.equal(plain.atimeMs, 1_000_250);
      assert.ok(Math.abs(plain.mtimeMs - 2_000_000.976) < 0.001);
    },
  },
  {
    name: 'times from the clock are finer than a millisecond',
    needs: ['nanosecondTimes', 'clockMoves'],
    async run(subject) {
      const seen = new Set<bigint>();
      for (let index = 0; index < 8; index++) {
        subject.fs.writeFileSync(at(subject, `f${index}`), '');
        seen.add(subject.fs.statSync(at(subject, `f${index}`), { bigint: true }).mtimeNs % 1_000_000n);
        await waitForClock();
      }
      assert.ok(seen.size > 1, 'not always a whole millisecond');
    },
  },
  {
    name: 'utimes moves ctime to the present',
    needs: ['clockMoves'],
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const before = timesOf(subject, 'file');
      await waitForClock();
      subject.fs.utimesSync(at(subject, 'file'), 1, 1);
      assert.ok(timesOf(subject, 'file').ctimeNs > before.ctimeNs);
    },
  },
  {
    name: 'utimes follows a symbolic link and lutimes does not',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      subject.fs.symlinkSync('file', at(subject, 'link'));
      subject.fs.utimesSync(at(subject, 'link'), 10, 20);
      subject.fs.lutimesSync(at(subject, 'link'), 30, 40);
      assert.equal(subject.fs.statSync(at(subject, 'file')).mtimeMs, 20_000);
      assert.equal(subject.fs.lstatSync(at(subject, 'link')).mtimeMs, 40_000);
    },
  },
  {
    name: 'futimes sets times even by a descriptor that is open for reading',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      withFile(subject, 'file', 'r', (fd) => {
        subject.fs.futimesSync(fd, 50, 60);
        assert.equal(subject.fs.fstatSync(fd).mtimeMs, 60_000);
      });
      assert.equal(subject.fs.statSync(at(subject, 'file')).atimeMs, 50_000);
    },
  },
  {
    name: 'utimes sets the times of a directory',
    run(subject) {
      subject.fs.mkdirSync(at(subject, 'dir'));
      subject.fs.utimesSync(at(subject, 'dir'), 7, 8);
      assert.equal(subject.fs.statSync(at(subject, 'dir')).mtimeMs, 8000);
    },
  },
  {
    name: 'utimes of a missing file fails with ENOENT, also by promise',
    async run(subject) {
      const path = at(subject, 'missing');
      expectError(() => subject.fs.utimesSync(path, 1, 1), { code: 'ENOENT', syscall: 'utime', path });
      expectError(() => subject.fs.lutimesSync(path, 1, 1), { code: 'ENOENT', syscall: 'lutime', path });
      const { promises } = subject.fs;
      await expectRejection(() => promises.utimes(path, 1, 1), { code: 'ENOENT', syscall: 'utime', path });
      await expectRejection(() => promises.lutimes(path, 1, 1), { code: 'ENOENT', syscall: 'lutime', path });
    },
  },
  {
    name: 'promises.utimes and lutimes set times',
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      await subject.fs.promises.utimes(at(subject, 'file'), 11, 12);
      assert.equal(subject.fs.statSync(at(subject, 'file')).mtimeMs, 12_000);
      await subject.fs.promises.lutimes(at(subject, 'file'), 13, 14);
      assert.equal(subject.fs.statSync(at(subject, 'file')).mtimeMs, 14_000);
    },
  },
  {
    name: 'a value that is not a time is refused',
    run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const path = at(subject, 'file');
      expectNodeError(() => subject.fs.utimesSync(path, wrongType({}), 1), 'ERR_INVALID_ARG_TYPE');
      expectNodeError(() => subject.fs.utimesSync(path, 1, wrongType('soon')), 'ERR_INVALID_ARG_TYPE');
      expectNodeError(() => subject.fs.utimesSync(path, 1, wrongType(undefined)), 'ERR_INVALID_ARG_TYPE');
    },
  },
  {
    name: 'a write does not move the birth time of a file',
    needs: ['clockMoves'],
    async run(subject) {
      subject.fs.writeFileSync(at(subject, 'file'), '');
      const birth = subject.fs.statSync(at(subject, 'file'), { bigint: true }).birthtimeNs;
      await waitForClock();
      subject.fs.writeFileSync(at(subject, 'file'), 'text');
      const after = subject.fs.statSync(at(subject, 'file'), { bigint: true });
      assert.equal(after.birthtimeNs, birth);
      assert.ok(after.mtimeNs > birth);
    },
  },
];

export const timesGroup: CaseGroup = { name: 'times', cases: [...moveCases, ...utimesCases] };
