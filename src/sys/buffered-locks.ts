/**
 * Locks of open files without flock(2). A set has the files that this thread has locked, and beside each of them lies a
 * lock file (`lock-file.ts`). The name of a lock file comes from the path that the file was opened by, so `open` and
 * `close` are wrapped here to keep that path.
 */
import { existsSync, fstatSync } from 'node:fs';
import { assert, sleepBlocking } from '../base/index.ts';
import { releaseLockFile, takeLockFile } from './lock-file.ts';
import { attempt, nameCalls } from './name-calls.ts';
import type { System } from './system.ts';

interface Held {
  /** `dev:ino` of the locked file: its key in `lockedHere`. */
  readonly file: string;
  readonly lockPath: string;
}

/** Milliseconds between two checks whether a lock file is still there. */
const LOOK_EVERY_MS = 0.1;
/**
 * Checks before `tryLock` asks again whether the process with the lock lives, which takes as long as all these checks.
 */
const LOOKS_MAX = 100;

/** The files that this thread has locked. */
const lockedHere = new Set<string>();

export function bufferedLocks(bootId: () => string) {
  const paths = new Map<number, string>();
  const held = new Map<number, Held>();

  function release(fd: number): void {
    const lock = held.get(fd);
    if (lock === undefined) return;
    held.delete(fd);
    lockedHere.delete(lock.file);
    releaseLockFile(lock.lockPath);
  }

  function tryLock(fd: number): boolean {
    const stat = attempt('flock', undefined, undefined, () => fstatSync(fd, { bigint: true }));
    if (held.has(fd)) return true;
    const file = `${stat.dev}:${stat.ino}`;
    const path = paths.get(fd);
    assert(path !== undefined, 'a file that is locked was opened by this system');
    const lockPath = `${path}.lock`;
    if (lockedHere.has(file) || !takeLockFile(lockPath, bootId())) return false;
    lockedHere.add(file);
    held.set(fd, { file, lockPath });
    return true;
  }

  return {
    open(path, flags, mode) {
      const fd = nameCalls.open(path, flags, mode);
      paths.set(fd, path);
      return fd;
    },

    close(fd) {
      release(fd);
      paths.delete(fd);
      nameCalls.close(fd);
    },

    tryLock,

    lock(fd) {
      while (!tryLock(fd)) {
        const lockPath = `${paths.get(fd)}.lock`;
        for (let looks = 0; looks < LOOKS_MAX && existsSync(lockPath); looks++) sleepBlocking(LOOK_EVERY_MS);
      }
    },

    unlock(fd) {
      attempt('flock', undefined, undefined, () => fstatSync(fd));
      release(fd);
    },
  } satisfies Partial<System>;
}
