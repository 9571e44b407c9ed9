/**
 * Extended attributes that a file can have, xattr(7): the names of ext4 and of the VFS before it (fs/xattr.c,
 * fs/ext4/xattr.c). Any other name, on a host or in an archive, is private to a filesystem.
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../base/index.ts';

export const ACCESS_ACL = 'system.posix_acl_access';
/** Inherited by what is made in a directory. */
export const DEFAULT_ACL = 'system.posix_acl_default';

export const XATTR_VALUE_BYTES_MAX = 65_536;
const XATTR_NAME_BYTES_MAX = 255;
/** Any name that continues after one of these. */
const NAMESPACES = ['user.', 'trusted.', 'security.'] as const;

export type XattrRefusal = 'ERANGE' | 'EINVAL' | 'ENOTSUP' | 'EPERM';

export function isAclName(name: string): name is typeof ACCESS_ACL | typeof DEFAULT_ACL {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

/**
 * Why a file of this mode cannot have an attribute of this name: ERANGE for the length, EPERM for `user.` of what is
 * neither file nor directory, EINVAL for a namespace alone, ENOTSUP for all other names. Undefined where it can.
 */
export function xattrRefusal(name: string, mode: number): XattrRefusal | undefined {
  if (name.length === 0 || name.length > XATTR_NAME_BYTES_MAX) return 'ERANGE';
  const type = mode & S_IFMT;
  if (name.startsWith('user.') && type !== S_IFREG && type !== S_IFDIR) return 'EPERM';
  const namespace = NAMESPACES.find((prefix) => name.startsWith(prefix));
  // Lists of names use a zero byte to end each.
  if (namespace !== undefined) return name === namespace || name.includes('\0') ? 'EINVAL' : undefined;
  return isAclName(name) && type !== S_IFLNK ? undefined : 'ENOTSUP';
}
