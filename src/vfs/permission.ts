/**
 * Permission checks, path_resolution(7) and credentials(7). Without credentials the caller is the superuser: the
 * library's own user may do everything, and an enforcing mount or server sets credentials.
 */
import { FsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

export const R_OK = 4;
export const W_OK = 2;
export const X_OK = 1;

export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;

export function isInGroup(credentials: Credentials, gid: number): boolean {
  return credentials.gid === gid || credentials.groups.includes(gid);
}

/** Whether `credentials` may access `inode` in all the ways of `mask` (R_OK, W_OK, X_OK). */
export function mayAccess(credentials: Credentials | undefined, inode: Inode, mask: number): boolean {
  const { mode, uid, gid } = inode.record;
  if (credentials === undefined || credentials.uid === 0) {
    // The superuser may do everything, but runs only what somebody may run.
    return (mask & X_OK) === 0 || inode.isDirectory || (mode & 0o111) !== 0;
  }
  const bits = credentials.uid === uid ? mode >> 6 : isInGroup(credentials, gid) ? mode >> 3 : mode;
  return (bits & mask) === mask;
}

/** EACCES unless `credentials` may access `inode` in all the ways of `mask`. */
export function requireAccess(credentials: Credentials | undefined, inode: Inode, mask: number): void {
  if (credentials === undefined && mask !== X_OK) return;
  if (!mayAccess(credentials, inode, mask)) throw new FsError('EACCES');
}

export function isOwner(credentials: Credentials | undefined, inode: Inode): boolean {
  return credentials === undefined || credentials.uid === 0 || credentials.uid === inode.record.uid;
}

/** EPERM unless `credentials` own the inode. */
export function requireOwner(credentials: Credentials | undefined, inode: Inode): void {
  if (!isOwner(credentials, inode)) throw new FsError('EPERM');
}

/** Whether a name may be taken out of `directory`: write and search there, and the owner's right where it is sticky. */
export function requireRemoval(credentials: Credentials | undefined, directory: Inode, victim: Inode): void {
  if (credentials === undefined) return;
  requireAccess(credentials, directory, W_OK | X_OK);
  if ((directory.record.mode & S_ISVTX) === 0) return;
  if (!isOwner(credentials, victim) && !isOwner(credentials, directory)) throw new FsError('EPERM');
}
