/**
 * A lock as a file that names the process that holds it and when that started. The file of a process that is gone
 * counts for nothing, so `kill -9` leaves no lock behind.
 *
 * Weaker than flock(2) in two ways: processes that do not see each other in /proc (containers over one directory) each
 * think the other gone, and two that take over a dead lock in the same instant may, very rarely, both succeed.
 */
import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { isFsError } from '../base/index.ts';
import { nodeFailure } from './errno.ts';
import { attempt } from './name-calls.ts';

const TAKEOVERS_MAX = 16;
/** Fields of /proc/<pid>/stat, proc_pid_stat(5); what follows the command's closing parenthesis starts with field 3. */
const STATE_INDEX = 0;
const START_TIME_INDEX = 22 - 3;
/** It has ended, and its parent has not waited for it yet. */
const ZOMBIE = 'Z';

let temporaryNames = 0;

/** Identifies a process for good: numbers are reused, but not with the same start time within one boot. */
function describeProcess(pid: number, bootId: string): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return describeBySignal(pid, bootId);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[STATE_INDEX] === ZOMBIE ? undefined : `${pid} ${fields[START_TIME_INDEX]} ${bootId}`;
}

/** Where there is no /proc, signal 0 tells whether a process of that number lives. */
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

/** Makes `lockPath` a file that says `holder`, whole from the start. False where there is one already. */
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

/** Moves the lock of a dead holder away, or puts it back where it has changed hands since it was read. */
function removeStale(lockPath: string, holder: string): void {
  const aside = `${lockPath}.${process.pid}.${temporaryNames++}`;
  try {
    renameSync(lockPath, aside);
  } catch {
    // Another process was faster; the next look at the lock shows whose it is.
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

/** Takes the lock for this process; false while a living process (this one too) has it. */
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

/** Gives the lock back; a lock file that someone removed by hand is as good as given back. */
export function releaseLockFile(lockPath: string): void {
  try {
    unlinkSync(lockPath);
  } catch (error) {
    const failure = nodeFailure(error, 'unlink', lockPath);
    if (!isFsError(failure, 'ENOENT')) throw failure;
  }
}
