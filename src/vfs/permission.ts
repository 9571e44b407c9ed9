/** Permission checks: path_resolution(7) and credentials(7). */
import { FsError, S_ISVTX } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { type Caller, isInGroup, isSuperuser } from './caller.ts';
import type { TreeContext } from './context.ts';
import { aclOf, isAllowedBy } from './posix-acl.ts';
import { ACCESS_ACL } from './xattr-names.ts';

export const R_OK = 4;
export const W_OK = 2;
export const X_OK = 1;

/** True if the caller is allowed everything in `mask`, which has bits of R_OK, W_OK and X_OK. */
export function mayAccess(context: TreeContext, caller: Caller, inode: Inode, mask: number): boolean {
  const { mode, uid, gid } = inode.record;
  if (isSuperuser(caller)) {
    // The superuser may do everything, except execute a file without any execute bit.
    return (mask & X_OK) === 0 || inode.isDirectory || (mode & 0o111) !== 0;
  }
  if (caller.uid === uid) return ((mode >> 6) & mask) === mask;
  const acl = aclOf(context.stack, inode, ACCESS_ACL);
  if (acl !== undefined) return isAllowedBy(acl, caller, inode.record, mask);
  return ((isInGroup(caller, gid) ? mode >> 3 : mode) & mask) === mask;
}

/** EACCES unless `mayAccess`. For a trusted caller this checks only a `mask` of X_OK alone. */
export function requireAccess(context: TreeContext, caller: Caller, inode: Inode, mask: number): void {
  if (caller.isTrusted && mask !== X_OK) return;
  if (!mayAccess(context, caller, inode, mask)) throw new FsError('EACCES');
}

export function isOwner(caller: Caller, inode: Inode): boolean {
  return isSuperuser(caller) || caller.uid === inode.record.uid;
}

/** EPERM unless the caller owns the inode or is the superuser. */
export function requireOwner(caller: Caller, inode: Inode): void {
  if (!isOwner(caller, inode)) throw new FsError('EPERM');
}

/** EACCES or EPERM unless the caller may remove `victim` from `directory`, which may be sticky. */
export function requireRemoval(context: TreeContext, caller: Caller, directory: Inode, victim: Inode): void {
  if (caller.isTrusted) return;
  requireAccess(context, caller, directory, W_OK | X_OK);
  if ((directory.record.mode & S_ISVTX) === 0) return;
  if (!isOwner(caller, victim) && !isOwner(caller, directory)) throw new FsError('EPERM');
}
