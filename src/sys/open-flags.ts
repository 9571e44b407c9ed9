/**
 * Flags of open(2), with the numbers of this machine: x86-64 and arm64 differ in O_DIRECTORY and O_NOFOLLOW. They
 * hold for files of the host and of a tree, and for what the kernel sends through FUSE.
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
/** Opens a name itself, a symlink too, without reading or writing it. Elsewhere O_SYMLINK comes closest. */
export const O_PATH = process.platform === 'linux' ? 0o10000000 : (constants.O_SYMLINK ?? 0);
/** The bit alone, without the O_DIRECTORY that open(2) includes in it. */
export const O_TMPFILE = 0o20000000;
export const O_CLOEXEC = process.platform === 'linux' ? 0o2000000 : 0;
