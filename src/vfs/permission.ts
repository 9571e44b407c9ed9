/**
 * Permission checks, path_resolution(7) and credentials(7). Without credentials the caller is the superuser: the
 * library's own user may do everything, and an enforcing mount or server sets credentials.
 */
import { FsError, S_ISVTX } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { TreeContext } from './context.ts';
import { isInGroup } from './credentials.ts';
import { aclOf } from './inode-acl.ts';
import { isAllowedBy } from './posix-acl.ts';
import { ACCESS_ACL } from './xattr-names.ts';

export const R_OK = 4;
export const W_OK = 2;
export const X_OK = 1;

/** Whether the caller may access `inode` in all the ways of `mask` (R_OK, W_OK, X_OK). */
export function mayAccess(context: TreeContext, inode: Inode, mask: number): boolean {
  const { credentials } = context;
  const { mode, uid, gid } = inode.record;
  if (credentials === undefined || credentials.uid === 0) {
    // The superuser may do everything, but runs only what somebody may run.
    return (mask & X_OK) === 0 || inode.isDirectory || (mode & 0o111) !== 0;
  }
  if (credentials.uid === uid) return ((mode >> 6) & mask) === mask;
  const acl = aclOf(context.stack, inode, ACCESS_ACL);
  if (acl !== undefined) return isAllowedBy(acl, credentials, inode.record, mask);
  return ((isInGroup(credentials, gid) ? mode >> 3 : mode) & mask) === mask;
}

/** EACCES unless the caller may access `inode` in all the ways of `mask`. */
export function requireAccess(context: TreeContext, inode: Inode, mask: number): void {
  if (context.credentials === undefined && mask !== X_OK) return;
  if (!mayAccess(context, inode, mask)) throw new FsError('EACCES');
}

export function isOwner({ credentials }: TreeContext, inode: Inode): boolean {
  return credentials === undefined || credentials.uid === 0 || credentials.uid === inode.record.uid;
}

/** EPERM unless the caller owns the inode. */
export function requireOwner(context: TreeContext, inode: Inode): void {
  if (!isOwner(context, inode)) throw new FsError('EPERM');
}

/** Whether a name may be taken out of `directory`: write and search there, and the owner's right where it is sticky. */
export function requireRemoval(context: TreeContext, directory: Inode, victim: Inode): void {
  if (context.credentials === undefined) return;
  requireAccess(context, directory, W_OK | X_OK);
  if ((directory.record.mode & S_ISVTX) === 0) return;
  if (!isOwner(context, victim) && !isOwner(context, directory)) throw new FsError('EPERM');
}
