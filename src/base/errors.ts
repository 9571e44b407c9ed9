/**
 * Errors. A failed operation throws an `FsError` with a POSIX code. Library and command add the system call and the
 * path, as Node does in its own errors. `StoreError` is for failures of a whole store, which have no errno: no store at
 * a path, a damaged table, a wrong format version.
 */
import { getSystemErrorMap } from 'node:util';

export type ErrorCode =
  | 'E2BIG'
  | 'EACCES'
  | 'EAGAIN'
  | 'EBADF'
  | 'EBUSY'
  | 'EEXIST'
  | 'EFAULT'
  | 'EFBIG'
  | 'EINTR'
  | 'EINVAL'
  | 'EIO'
  | 'EISDIR'
  | 'ELOOP'
  | 'EMFILE'
  | 'EMLINK'
  | 'ENAMETOOLONG'
  | 'ENFILE'
  | 'ENODATA'
  | 'ENODEV'
  | 'ENOENT'
  | 'ENOMEM'
  | 'ENOSPC'
  | 'ENOSYS'
  | 'ENOTCONN'
  | 'ENOTDIR'
  | 'ENOTEMPTY'
  | 'ENOTSUP'
  | 'ENXIO'
  | 'EOVERFLOW'
  | 'EPERM'
  | 'EPIPE'
  | 'ERANGE'
  | 'EROFS'
  | 'ESPIPE'
  | 'ESTALE'
  | 'ETIMEDOUT'
  | 'ETXTBSY'
  | 'EXDEV'
  | 'EOPNOTSUPP'
  | 'EDQUOT'
  | 'ECANCELED';

interface KnownError {
  readonly errno: number;
  readonly message: string;
}

/** Codes that libuv has no name for on Linux, from errno(3). */
const EXTRA: Readonly<Record<string, KnownError>> = {
  ENODATA: { errno: -61, message: 'no data available' },
  ESTALE: { errno: -116, message: 'stale file handle' },
  EOPNOTSUPP: { errno: -95, message: 'operation not supported on socket' },
  EDQUOT: { errno: -122, message: 'disk quota exceeded' },
};

const byCode = new Map<string, KnownError>(Object.entries(EXTRA));
const byErrno = new Map<number, string>(Object.entries(EXTRA).map(([code, known]) => [known.errno, code]));
for (const [errno, [code, message]] of getSystemErrorMap()) {
  byCode.set(code, { errno, message });
  byErrno.set(errno, code);
}

/** The code of a (positive) errno, for example 2 → 'ENOENT'. */
export function codeOfErrno(errno: number): ErrorCode {
  return (byErrno.get(-errno) ?? 'EIO') as ErrorCode;
}

/** The negative errno and the message of a code, the same as in libuv. EIO for an unknown code. */
export function describeCode(code: string): KnownError {
  return byCode.get(code) ?? { errno: -5, message: 'i/o error' };
}

export interface FsErrorDetail {
  readonly syscall?: string | undefined;
  readonly path?: string | undefined;
  readonly dest?: string | undefined;
  /** Says what went wrong and what to do about it, where the code alone does not. */
  readonly note?: string | undefined;
}

/** An `FsError` as plain data, to send to another thread or process: see `FsError.plain` and `FsError.fromPlain`. */
export interface PlainFsError extends FsErrorDetail {
  readonly code: ErrorCode;
}

/**
 * A failed filesystem operation. The shape and the message are those of Node's own errors:
 * `ENOENT: no such file or directory, open '/x'`.
 */
export class FsError extends Error {
  readonly errno: number;
  readonly code: ErrorCode;
  readonly syscall?: string;
  readonly path?: string;
  readonly dest?: string;
  /** The note without the rest of the message, for interfaces that add a path. */
  declare readonly note?: string | undefined;

  constructor(code: ErrorCode, detail: FsErrorDetail = {}) {
    const known = describeCode(code);
    let message = `${code}: ${known.message}`;
    if (detail.syscall !== undefined) message += `, ${detail.syscall}`;
    if (detail.path !== undefined) message += ` '${detail.path}'`;
    if (detail.dest !== undefined) message += ` -> '${detail.dest}'`;
    if (detail.note !== undefined) message += ` (${detail.note})`;
    super(message);
    this.errno = known.errno;
    this.code = code;
    if (detail.syscall !== undefined) this.syscall = detail.syscall;
    if (detail.path !== undefined) this.path = detail.path;
    if (detail.dest !== undefined) this.dest = detail.dest;
    Object.defineProperty(this, 'note', { value: detail.note, enumerable: false });
  }

  static fromPlain(plain: PlainFsError): FsError {
    return new FsError(plain.code, plain);
  }

  plain(): PlainFsError {
    const { code, syscall, path, dest, note } = this;
    return { code, syscall, path, dest, note };
  }

  /** A copy of this error in which the given fields replace its own, for a caller that knows more of the failure. */
  in({
    syscall = this.syscall,
    path = this.path,
    dest = this.dest,
    note = this.note,
  }: FsErrorDetail): FsError {
    return new FsError(this.code, { syscall, path, dest, note });
  }
}

/** Adds `detail` to an `FsError` without a path; any other error stays as it is. */
export function errorAt(detail: FsErrorDetail, error: unknown): unknown {
  return isFsError(error) && error.path === undefined ? error.in(detail) : error;
}

/** Makes a call, and adds `detail` to its error as `errorAt` does. */
export function at<T>(detail: FsErrorDetail, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw errorAt(detail, error);
  }
}

export type StoreErrorCode =
  | 'ERR_STORE_NOT_FOUND'
  | 'ERR_STORE_EXISTS'
  | 'ERR_STORE_OWNER'
  | 'ERR_STORE_VERSION'
  | 'ERR_STORE_CORRUPT'
  | 'ERR_STORE_CLOSED';

/** A failure of the store itself, not of one file in it. `hint` says in a whole sentence what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  readonly operation: string;
  readonly path: string;
  readonly hint: string;

  constructor(code: StoreErrorCode, operation: string, path: string, problem: string, hint: string) {
    super(`${operation} '${path}': ${problem}. ${hint}`);
    this.code = code;
    this.operation = operation;
    this.path = path;
    this.hint = hint;
  }
}

export function isFsError(error: unknown, code?: ErrorCode): error is FsError {
  return error instanceof FsError && (code === undefined || error.code === code);
}

/** True if the error means that the disk is full or a quota is used up. */
export function isDiskFull(error: unknown): error is FsError {
  return isFsError(error, 'ENOSPC') || isFsError(error, 'EDQUOT');
}

/** True for ENOENT, ENOTDIR and ELOOP: the path leads to no suitable file. */
export function isMissing(error: unknown): boolean {
  return isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR') || isFsError(error, 'ELOOP');
}
