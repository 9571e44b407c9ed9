/** Locks and leases belong to the file: they hold across the first write to a file of a lower layer. */
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { allocateFixed, check, libc } from '../host/libc.ts';
import { dropPages, type MountCase, type MountGroup } from './mount-case.ts';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const F_GETLK = 5;
const F_SETLK = 6;
const F_OFD_SETLK = 37;
const F_SETLEASE = 1024;
const F_GETLEASE = 1025;
/** Size of struct flock: type i16, whence i16, start i64 at 8, length i64 at 16, process i32 at 24. */
const FLOCK_BYTES = 32;

function flock(fd: number, operation: number): void {
  check(libc().flock(fd, operation | LOCK_NB), 'flock');
}

function recordLock(fd: number, command: number, type: number, start: number, length: number): Buffer {
  const lock = allocateFixed(FLOCK_BYTES).fill(0);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(start), 8);
  lock.writeBigInt64LE(BigInt(length), 16);
  check(libc().fcntlStructure(fd, command, lock), 'fcntl');
  return lock;
}

/** Opens two descriptors of one file: `early` before its copy-up, `late` after. */
function withTwo(path: string, action: (early: number, late: number) => void): void {
  const early = openSync(path, 'r+');
  const writer = openSync(path, 'r+');
  writeSync(writer, 'copied up');
  dropPages(writer);
  closeSync(writer);
  const late = openSync(path, 'r+');
  try {
    action(early, late);
  } finally {
    closeSync(early);
    closeSync(late);
  }
}

const busy = { code: 'EAGAIN' };

const lockCases: readonly MountCase[] = [
  {
    name: 'flock: two descriptors, before and after the first write, exclude each other',
    run(root) {
      withTwo(`${root}/file`, (early, late) => {
        flock(early, LOCK_EX);
        assert.throws(() => flock(late, LOCK_SH), busy);
        flock(early, LOCK_UN);
        flock(early, LOCK_SH);
        flock(late, LOCK_SH);
        assert.throws(() => flock(late, LOCK_EX), busy);
      });
    },
  },
  {
    name: 'flock taken on a file for reading holds against those who open it for writing',
    run(root) {
      const reader = openSync(`${root}/file`, 'r');
      flock(reader, LOCK_EX);
      const writer = openSync(`${root}/file`, 'r+');
      writeSync(writer, 'copied up');
      assert.throws(() => flock(writer, LOCK_EX), busy);
      closeSync(reader);
      flock(writer, LOCK_EX);
      closeSync(writer);
    },
  },
  {
    name: 'flock of two hard links is one lock',
    run(root) {
      const [first, second] = [openSync(`${root}/first`, 'r'), openSync(`${root}/second`, 'r')];
      flock(first, LOCK_EX);
      assert.throws(() => flock(second, LOCK_EX), busy);
      unlinkSync(`${root}/first`);
      assert.throws(() => flock(second, LOCK_EX), busy);
      closeSync(first);
      flock(second, LOCK_EX);
      closeSync(second);
    },
  },
  {
    name: 'OFD locks exclude ranges that overlap, and only those',
    run(root) {
      withTwo(`${root}/file`, (early, late) => {
        recordLock(early, F_OFD_SETLK, F_WRLCK, 0, 100);
        assert.throws(() => recordLock(late, F_OFD_SETLK, F_RDLCK, 50, 100), busy);
        recordLock(late, F_OFD_SETLK, F_WRLCK, 100, 100);
        assert.throws(() => recordLock(early, F_OFD_SETLK, F_WRLCK, 0, 0), busy);
        recordLock(late, F_OFD_SETLK, F_UNLCK, 0, 0);
        recordLock(early, F_OFD_SETLK, F_WRLCK, 0, 0);
      });
    },
  },
  {
    name: 'a POSIX lock keeps an OFD lock out, and goes when any descriptor of the file is closed',
    run(root) {
      withTwo(`${root}/file`, (early, late) => {
        recordLock(early, F_SETLK, F_WRLCK, 0, 0);
        assert.throws(() => recordLock(late, F_OFD_SETLK, F_WRLCK, 10, 1), busy);
        assert.equal(
          recordLock(late, F_GETLK, F_WRLCK, 10, 1).readInt16LE(0),
          F_UNLCK,
          'one owner: the process',
        );
        closeSync(openSync(`${root}/file`, 'r'));
        recordLock(late, F_OFD_SETLK, F_WRLCK, 10, 1);
      });
    },
  },
];

const leaseCases: readonly MountCase[] = [
  {
    name: 'a lease for reading is broken by one who opens for writing',
    async run(root) {
      const signals: string[] = [];
      const listener = (signal: string): void => void signals.push(signal);
      process.on('SIGIO', listener);
      const reader = openSync(`${root}/file`, 'r');
      const { O_NONBLOCK, O_RDWR } = constants;
      try {
        check(libc().fcntlNumber(reader, F_SETLEASE, F_RDLCK), 'fcntl F_SETLEASE');
        assert.equal(libc().fcntlNumber(reader, F_GETLEASE, 0), F_RDLCK);
        closeSync(openSync(`${root}/file`, 'r'));
        assert.throws(() => openSync(`${root}/file`, O_RDWR | O_NONBLOCK), { code: 'EAGAIN' });
        for (let turn = 0; signals.length === 0 && turn < 1000; turn++) await setImmediate();
        assert.deepEqual(signals, ['SIGIO']);
        check(libc().fcntlNumber(reader, F_SETLEASE, F_UNLCK), 'fcntl F_SETLEASE');
        const writer = openSync(`${root}/file`, O_RDWR | O_NONBLOCK);
        writeSync(writer, 'copied up');
        assert.throws(() => check(libc().fcntlNumber(reader, F_SETLEASE, F_RDLCK), 'fcntl'), busy);
        closeSync(writer);
        check(libc().fcntlNumber(reader, F_SETLEASE, F_RDLCK), 'fcntl F_SETLEASE');
      } finally {
        closeSync(reader);
        process.off('SIGIO', listener);
      }
    },
  },
];

export const locksGroup: MountGroup = { name: 'locks', cases: [...lockCases, ...leaseCases] };
