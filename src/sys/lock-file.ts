/**
 * A lock in the form of a file that names the process that holds the lock, and the start time of that process. The lock
 * of a process that has ended does not count, so `kill -9` leaves no lock behind.
 *
 * Such a lock is weaker than flock(2) in two ways. Processes that do not see each other in /proc (containers over one
 * directory) each conclude that the other has ended. And two processes that take over a dead lock in the same instant
 * may, very rarely, both succeed.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { isFsError } from '../base/index.ts';
import { ENOENT, errnoOf, nodeFailure } from './errno.ts';
import { attempt } from './name-calls.ts';

const TAKEOVERS_MAX = 16;
/**
 * Indexes of fields in /proc/<pid>/stat, proc_pid_stat(5). Index 0 is the field after the command, which the manual
 * calls field 3.
 */
const STATE_INDEX = 0;
const START_TIME_INDEX = 22 - 3;
/** State of a process that has ended but whose parent has not waited for it. */
const ZOMBIE = 'Z';

let temporaryNames = 0;

/**
 * A text that identifies a process by number, start time and boot: within one boot no two processes have the same
 * number and start time. Undefined if the process has ended.
 */
function describeProcess(pid: number, bootId: string): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return describeBySignal(pid, bootId);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[STATE_INDEX] === ZOMBIE ? undefined : `${pid} ${fields[START_TIME_INDEX]} ${bootId}`;
}

/** The text for a system without /proc: signal 0 tells whether the process lives; its start time is unknown. */
function describeBySignal(pid: number, bootId: string): string | undefined {
  try {
    process.kill(pid, 0);
    return `${pid} - ${bootId}`;
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function isAlive(holder: string, bootId: string): boolean {
  const pid = Number.parseInt(holder, 10);
  return pid > 0 && describeProcess(pid, bootId) === holder;
}

/** Makes the file `lockPath` with the content `holder`, in one step. Returns false if the file exists already. */
function createLock(lockPath: string, holder: string): boolean {
  const candidate = `${lockPath}.${process.pid}.${temporaryNames++}`;
  attempt('open', candidate, undefined, () => writeFileSync(candidate, holder, { flag: 'wx' }));
  try {
    linkSync(candidate, lockPath);
    return true;
  } catch (error) {
    const failure = nodeFailure(error, 'link', candidate, lockPath);
    if (isFsError(failure, 'EEXIST')) return false;
    throw failure;
  } finally {
    unlinkSync(candidate);
  }
}

/**
 * Removes the lock of a dead holder. If another process has taken the lock over since `holder` was read, puts that
 * process's lock back.
 */
function removeStale(lockPath: string, holder: string): void {
  const aside = `${lockPath}.${process.pid}.${temporaryNames++}`;
  try {
    renameSync(lockPath, aside);
  } catch {
    // Another process was faster.
    return;
  }
  try {
    if (readText(aside) !== holder) linkSync(aside, lockPath);
  } catch {
    // A third process took the lock in between, and keeps it.
  } finally {
    unlinkSync(aside);
  }
}

/**
 * Takes the lock for this process. Returns false if a living process holds the lock (perhaps this process itself), or
 * if all `TAKEOVERS_MAX` attempts fail.
 */
export function takeLockFile(lockPath: string, bootId: string): boolean {
  const self = describeProcess(process.pid, bootId) ?? `${process.pid} - ${bootId}`;
  for (let round = 0; round < TAKEOVERS_MAX; round++) {
    if (createLock(lockPath, self)) return true;
    const holder = readText(lockPath);
    if (holder === undefined) continue;
    if (isAlive(holder, bootId)) return false;
    removeStale(lockPath, holder);
  }
  return false;
}

/** Releases the lock. No error if somebody has removed the file by hand. */
export function releaseLockFile(lockPath: string): void {
  try {
    unlinkSync(lockPath);
  } catch (error) {
    if (errnoOf(error) !== ENOENT) throw nodeFailure(error, 'unlink', lockPath);
  }
}
