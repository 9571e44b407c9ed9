/**
 * `openAt` where the host has no openat2(2): opens one name after the other, each in the directory before it, and
 * follows no symlink. That is as safe, but slower. Where names cannot be opened in a directory (node:fs without /proc),
 * every call looks up a path again, and somebody who swaps a directory on that path at the right moment can lead the
 * call elsewhere.
 */
import { type ErrorCode, FsError, isDirectoryMode, isSymlinkMode } from '../base/index.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from './open-flags.ts';

const UP = Buffer.from('..');
const SLASH = 0x2f;

export interface StepCalls {
  /** Opens one name. Does not follow a symlink. */
  open(directory: number, name: Buffer, flags: number, mode: number): number;
  modeOf(fd: number): number;
  close(fd: number): void;
}

export function openByNames(
  calls: StepCalls,
  directory: number,
  path: Buffer,
  flags: number,
  mode: number,
): number {
  let at = directory;
  const step = (fd: number): void => {
    if (at !== directory) calls.close(at);
    at = fd;
  };
  try {
    for (let start = 0; ; ) {
      const slash = path.indexOf(SLASH, start);
      const name = path.subarray(start, slash === -1 ? path.length : slash);
      // RESOLVE_BENEATH lets '..' lead up to the directory, but no caller needs that.
      if (name.equals(UP)) throw new FsError('EXDEV', { syscall: 'open' });
      if (slash === -1) return openLast(calls, at, name, flags, mode);
      step(openFollowed(calls, at, name));
      start = slash + 1;
    }
  } finally {
    step(directory);
  }
}

/** Opens a name that must not be a symlink (ELOOP), with O_PATH. */
function openFollowed(calls: StepCalls, at: number, name: Buffer): number {
  const fd = calls.open(at, name, O_PATH, 0);
  return requireMode(calls, fd, (mode) => !isSymlinkMode(mode), 'ELOOP');
}

function openLast(calls: StepCalls, at: number, name: Buffer, flags: number, mode: number): number {
  // `calls.open` refuses a symlink, except with O_PATH, which opens the symlink itself. Callers want that only with
  // O_NOFOLLOW.
  if ((flags & O_NOFOLLOW) !== 0 || (flags & O_PATH) === 0) return calls.open(at, name, flags, mode);
  const fd = openFollowed(calls, at, name);
  return (flags & O_DIRECTORY) === 0 ? fd : requireMode(calls, fd, isDirectoryMode, 'ENOTDIR');
}

/**
 * Returns the descriptor if `isSuch` accepts the file's mode. Otherwise closes it and throws `code`, or the error if
 * the mode cannot be read.
 */
function requireMode(
  calls: StepCalls,
  fd: number,
  isSuch: (mode: number) => boolean,
  code: ErrorCode,
): number {
  try {
    if (isSuch(calls.modeOf(fd))) return fd;
    throw new FsError(code, { syscall: 'open' });
  } catch (error) {
    calls.close(fd);
    throw error;
  }
}
