/**
 * Extended attributes that a file can have, xattr(7): the names of ext4 and of the VFS before it (fs/xattr.c,
 * fs/ext4/xattr.c). Any other that is met elsewhere, on a host or in an archive, is a filesystem's own.
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../base/index.ts';

export const ACCESS_ACL = 'system.posix_acl_access';
/** What a directory hands on to what is made in it. */
export const DEFAULT_ACL = 'system.posix_acl_default';

export const XATTR_VALUE_BYTES_MAX = 65_536;
const XATTR_NAME_BYTES_MAX = 255;
/** Any name that goes on after one of these. */
const NAMESPACES = ['user.', 'trusted.', 'security.'] as const;

export type XattrRefusal = 'ERANGE' | 'EINVAL' | 'ENOTSUP' | 'EPERM';

export function isAclName(name: string): name is typeof ACCESS_ACL | typeof DEFAULT_ACL {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

/**
 * Why a file of this mode has no attribute of this name, whoever asks: ERANGE for the length, EPERM for `user.` of what
 * is neither file nor directory, EINVAL for a namespace alone, ENOTSUP for all other names. Undefined where it may.
 */
export function xattrRefusal(name: string, mode: number): XattrRefusal | undefined {
  if (name.length === 0 || name.length > XATTR_NAME_BYTES_MAX) return 'ERANGE';
  const type = mode & S_IFMT;
  if (name.startsWith('user.') && type !== S_IFREG && type !== S_IFDIR) return 'EPERM';
  const namespace = NAMESPACES.find((prefix) => name.startsWith(prefix));
  // A zero byte ends a name wherever names are listed.
  if (namespace !== undefined) return name === namespace || name.includes('\0') ? 'EINVAL' : undefined;
  return isAclName(name) && type !== S_IFLNK ? undefined : 'ENOTSUP';
}
