/** Failures of system calls, from libc and from node:fs, as `FsError`. */
import { codeOfErrno, FsError } from '../base/index.ts';
import type { Libc } from './libc.ts';

/** From errno(3), the same on every architecture that `libc.ts` accepts. */
export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const EACCES = 13;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const ENOTTY = 25;
export const ENOSYS = 38;
export const ENODATA = 61;
export const EOPNOTSUPP = 95;
export const ERANGE = 34;

/** The error of a call that failed with `errno` (positive). */
export function errnoFailure(errno: number, syscall: string, path?: string | Buffer): FsError {
  return new FsError(codeOfErrno(errno), { syscall, path: pathText(path) });
}

/** Returns the result of a libc call; throws the call's error where the result is negative. */
export function checked<T extends number>(libc: Libc, result: T, syscall: string, path?: string | Buffer): T {
  if (result < 0) throw errnoFailure(libc.errno(), syscall, path);
  return result;
}

/**
 * Converts an error of node:fs to an `FsError`. Errors that no system call reported (a wrong argument, for example) are
 * defects of the caller and are returned unchanged.
 */
export function nodeFailure(
  error: unknown,
  syscall: string,
  path?: string | Buffer,
  dest?: string | Buffer,
): unknown {
  const errno = errnoOf(error);
  if (errno === 0) return error;
  return new FsError(codeOfErrno(errno), { syscall, path: pathText(path), dest: pathText(dest) });
}

/** The positive errno of an error of node:fs; 0 for any other value. */
export function errnoOf(error: unknown): number {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? -error.errno : 0;
}

function pathText(path: string | Buffer | undefined): string | undefined {
  return typeof path === 'string' || path === undefined ? path : path.toString('utf8');
}
