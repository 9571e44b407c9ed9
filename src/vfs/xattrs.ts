/** Extended attributes, xattr(7), by the rules of the VFS and of ext4. */
import { FsError, S_ISGID, S_ISVTX } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { type Caller, isSuperuser, mayGiveGroup } from './caller.ts';
import { type TreeContext, touchChanged } from './context.ts';
import { isOwner, R_OK, requireAccess, requireOwner, W_OK } from './permission.ts';
import { isMinimal, modeOf, requireValid } from './posix-acl.ts';
import { type Acl, decodeAcl, encodeAcl } from './posix-acl-format.ts';
import {
  ACCESS_ACL,
  type AclName,
  DEFAULT_ACL,
  isAclName,
  XATTR_VALUE_BYTES_MAX,
  xattrRefusal,
} from './xattr-names.ts';

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

const NOTES = {
  ENOTSUP:
    'a name begins with user., trusted. or security., or is that of a POSIX ACL, which symlinks do not have',
  EPERM: 'only files and directories can have user.* attributes',
} as const;

function requireName(inode: Inode, name: string): void {
  const code = xattrRefusal(name, inode.record.mode);
  if (code === undefined) return;
  throw new FsError(code, code === 'ENOTSUP' || code === 'EPERM' ? { note: NOTES[code] } : {});
}

/**
 * The names of all attributes that `getXattr` can read. Leaves out other names, which an older version may have stored.
 * Names in `trusted.` are included only if `hasAdmin` says that the caller has CAP_SYS_ADMIN (fs/ext4/xattr_trusted.c);
 * by default superusers have it.
 */
export function xattrNames(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  hasAdmin = (): boolean => isSuperuser(caller),
): string[] {
  const names = [...context.stack.xattrsOf(inode).keys()].filter(
    (name) => xattrRefusal(name, inode.record.mode) === undefined,
  );
  return names.some(isTrusted) && !hasAdmin() ? names.filter((name) => !isTrusted(name)) : names;
}

function isTrusted(name: string): boolean {
  return name.startsWith('trusted.');
}

/** ENODATA when there is no such attribute, or the caller may not see it. */
export function getXattr(context: TreeContext, caller: Caller, inode: Inode, name: string): Buffer {
  // Linux reports an attribute that cannot be set as missing: xattr_permission in fs/xattr.c.
  if (xattrRefusal(name, inode.record.mode) === 'EPERM') throw new FsError('ENODATA');
  requireName(inode, name);
  if (isTrusted(name) && !isSuperuser(caller)) throw new FsError('ENODATA');
  if (name.startsWith('user.')) requireAccess(context, caller, inode, R_OK);
  const value = context.stack.xattrsOf(inode).get(name);
  if (value === undefined) throw new FsError('ENODATA');
  return Buffer.from(value);
}

/**
 * EEXIST with XATTR_CREATE, ENODATA with XATTR_REPLACE, E2BIG over 64 KiB. An ACL is set as on Linux, whatever the
 * flags: EINVAL when it is not valid, EACCES for a default ACL of anything but a directory; a value without entries
 * removes the ACL. An access ACL changes the mode, and clears the set-group-ID bit if the caller is outside the group
 * or has `clearsSetId`.
 */
export function setXattr(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  name: string,
  value: Uint8Array,
  flags: number,
): void {
  const { stack } = context;
  stack.writable();
  requireName(inode, name);
  if (value.length > XATTR_VALUE_BYTES_MAX) throw new FsError('E2BIG');
  if (isAclName(name)) {
    const acl = value.length === 0 ? [] : decodeAcl(value);
    if (acl.length === 0) removeXattr(context, caller, inode, name);
    else setAcl(context, caller, inode, name, acl);
    return;
  }
  stack.change((batch) => {
    requireXattrAccess(context, caller, inode, name);
    const before = stack.xattrsOf(inode);
    if ((flags & XATTR_CREATE) !== 0 && before.has(name)) throw new FsError('EEXIST');
    if ((flags & XATTR_REPLACE) !== 0 && !before.has(name)) throw new FsError('ENODATA');
    const after = new Map(before).set(name, Buffer.from(value));
    touchChanged(batch.change(inode), context.now());
    batch.setXattrs(inode, after);
  });
}

function setAcl(context: TreeContext, caller: Caller, inode: Inode, name: AclName, acl: Acl): void {
  const { stack } = context;
  stack.change((batch) => {
    if (name === DEFAULT_ACL && !inode.isDirectory) throw new FsError('EACCES');
    requireOwner(caller, inode);
    requireValid(acl);
    const draft = batch.change(inode);
    if (name === ACCESS_ACL) {
      draft.mode = (draft.mode & ~0o777) | modeOf(acl);
      if (caller.clearsSetId || !mayGiveGroup(caller, draft.gid)) draft.mode &= ~S_ISGID;
    }
    touchChanged(draft, context.now());
    const after = new Map(stack.xattrsOf(inode));
    if (name === DEFAULT_ACL || !isMinimal(acl)) batch.setXattrs(inode, after.set(name, encodeAcl(acl)));
    else if (after.delete(name)) batch.setXattrs(inode, after);
  });
}

/** ENODATA when there is no such attribute, except for an ACL. Removing an access ACL leaves the mode unchanged. */
export function removeXattr(context: TreeContext, caller: Caller, inode: Inode, name: string): void {
  context.stack.change((batch) => {
    requireName(inode, name);
    requireXattrAccess(context, caller, inode, name);
    const after = new Map(context.stack.xattrsOf(inode));
    if (!after.delete(name)) {
      if (isAclName(name)) return;
      throw new FsError('ENODATA');
    }
    touchChanged(batch.change(inode), context.now());
    batch.setXattrs(inode, after);
  });
}

/** EACCES, or EPERM, unless the caller may change the attribute: xattr_permission and cap_inode_setxattr of Linux. */
function requireXattrAccess(context: TreeContext, caller: Caller, inode: Inode, name: string): void {
  if (isSuperuser(caller)) return;
  if (isAclName(name)) {
    requireOwner(caller, inode);
    return;
  }
  if (!name.startsWith('user.')) throw new FsError('EPERM');
  const isSticky = inode.isDirectory && (inode.record.mode & S_ISVTX) !== 0;
  if (isSticky && !isOwner(caller, inode)) throw new FsError('EPERM');
  requireAccess(context, caller, inode, W_OK);
}
