/** Why a mount fails, with the way out. */
import { type ErrorCode, FsError } from '../base/index.ts';

const WAYS_OUT: Partial<Record<ErrorCode, string>> = {
  ENOENT: 'there is no such directory: make it first',
  ENOTDIR: 'a mount point is a directory',
  ENOTEMPTY: 'the mount point is not empty: choose an empty directory',
  EBUSY: 'something is mounted there already: unmount it, or choose another directory',
  EPERM: 'mounting takes root, or fusermount3 for other users (package fuse3)',
  EACCES: 'the mount point must be yours to write to',
  EINVAL: 'the kernel refuses it: its log (dmesg) may say why',
};

/** The mount server's error, with the mount point added, and a way out where it has no note. */
export function describeMountFailure(error: unknown, fork: string, directory: string): unknown {
  if (!(error instanceof FsError)) return error;
  const note = error.note ?? WAYS_OUT[error.code];
  return error.in({ syscall: 'mount', path: fork, dest: directory, note });
}

/** The failure of a mount point that was checked before anything was mounted. */
export function mountPointFailure(code: ErrorCode, directory: string, note = WAYS_OUT[code]): FsError {
  return new FsError(code, { syscall: 'mount', path: directory, note });
}
