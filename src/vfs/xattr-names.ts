/**
 * Names of extended attributes that a file can have, xattr(7): those that the VFS (fs/xattr.c) and ext4
 * (fs/ext4/xattr.c) accept. Any other name, on a host or in an archive, is private to a filesystem.
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../base/index.ts';

export const ACCESS_ACL = 'system.posix_acl_access';
/** The ACL that new inodes in a directory inherit. */
export const DEFAULT_ACL = 'system.posix_acl_default';

export const XATTR_VALUE_BYTES_MAX = 65_536;
const XATTR_NAME_BYTES_MAX = 255;
/** Prefixes of names; a prefix alone is no name. */
const NAMESPACES = ['user.', 'trusted.', 'security.'] as const;

export type AclName = typeof ACCESS_ACL | typeof DEFAULT_ACL;

export function isAclName(name: string): name is AclName {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

/**
 * The error for an attribute of this name on a file of this mode; undefined if the file can have the attribute. ERANGE
 * for the length of the name, EPERM for `user.` unless the file is a regular file or a directory, EINVAL for a prefix
 * alone or a zero byte in the name, ENOTSUP for all other names.
 */
export function xattrRefusal(
  name: string,
  mode: number,
): 'ERANGE' | 'EINVAL' | 'ENOTSUP' | 'EPERM' | undefined {
  if (name.length === 0 || name.length > XATTR_NAME_BYTES_MAX) return 'ERANGE';
  const type = mode & S_IFMT;
  if (name.startsWith('user.') && type !== S_IFREG && type !== S_IFDIR) return 'EPERM';
  const namespace = NAMESPACES.find((prefix) => name.startsWith(prefix));
  // A name cannot contain a zero byte, because a zero byte ends each name in a list of names.
  if (namespace !== undefined) return name === namespace || name.includes('\0') ? 'EINVAL' : undefined;
  return isAclName(name) && type !== S_IFLNK ? undefined : 'ENOTSUP';
}
