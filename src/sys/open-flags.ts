/**
 * Flags of open(2), with the numbers of this machine: x86-64 and arm64 differ in O_DIRECTORY and O_NOFOLLOW. They are
 * used for files of the host and of trees, and in FUSE requests.
 */
import { constants } from 'node:fs';

export const {
  O_RDONLY,
  O_WRONLY,
  O_RDWR,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  O_APPEND,
  O_NONBLOCK,
  O_DSYNC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NOATIME,
} = constants;

export const O_ACCMODE = 0o3;
// node:fs has no names for the rest. On Linux they are the same on every architecture of `libc.ts`.
/** Opens a file, which may be a symlink, without access to its content. O_SYMLINK of macOS comes closest. */
export const O_PATH = process.platform === 'linux' ? 0o10000000 : (constants.O_SYMLINK ?? 0);
/** The bit alone: in open(2) O_TMPFILE includes O_DIRECTORY. */
export const O_TMPFILE = 0o20000000;
export const O_CLOEXEC = process.platform === 'linux' ? 0o2000000 : 0;
