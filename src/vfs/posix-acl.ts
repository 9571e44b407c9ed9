/**
 * POSIX access control lists: acl(5), as in Linux (fs/posix_acl.c), stored in the same extended attributes as in Linux.
 * An inode whose record names no layer with attributes has no ACL, so no operation searches for ACLs in trees without
 * attributes.
 *
 * Invariant: the ACL of an inode and the permission bits of its mode agree. The owner's bits are those of the owner's
 * entry, the others' bits those of the others' entry, and the group's bits those of the mask, or of the owning group's
 * entry where there is no mask.
 */
import { FsError } from '../base/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { type Credentials, isInGroup } from './caller.ts';
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  type Acl,
  decodeAcl,
} from './posix-acl-format.ts';
import type { AclName } from './xattr-names.ts';

const PERMISSION_BITS = 0o777;

/**
 * The inode's ACL of this name; undefined when there is none. EIO for a stored value that is no valid ACL, which an
 * import by an older version may have brought in.
 */
export function aclOf(stack: LayerStack, inode: Inode, name: AclName): Acl | undefined {
  if (inode.record.xattrLayer === 0) return undefined;
  const value = stack.xattrsOf(inode).get(name);
  if (value === undefined) return undefined;
  try {
    const acl = decodeAcl(value);
    requireValid(acl);
    return acl;
  } catch {
    throw new FsError('EIO', { note: `the stored ${name} is no valid ACL` });
  }
}

/**
 * EINVAL unless `acl` is valid on Linux: one owner, named users, one owning group, named groups, a mask
 * (at most one, required where a user or group is named), one entry for others, in this order. As on Linux, two entries
 * may name the same user; the first one counts. setfacl(1) itself refuses that.
 */
export function requireValid(acl: Acl): void {
  let before = 0;
  let isNaming = false;
  let single = 0;
  for (const { tag, permissions } of acl) {
    const isNamed = tag === ACL_USER || tag === ACL_GROUP;
    if ((permissions & ~7) !== 0 || tag < before || (tag === before && !isNamed)) throw new FsError('EINVAL');
    if (isNamed) isNaming = true;
    else single |= tag;
    before = tag;
  }
  const required = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER | (isNaming ? ACL_MASK : 0);
  if ((single & required) !== required) throw new FsError('EINVAL');
}

/** The permission bits of the mode that belongs to a valid ACL. */
export function modeOf(acl: Acl): number {
  const group = groupClassTag(acl);
  let bits = 0;
  for (const { tag, permissions } of acl) {
    const shift = shiftOf(tag, group);
    if (shift !== undefined) bits |= permissions << shift;
  }
  return bits;
}

/** Whether the mode alone expresses `acl`. Then no ACL is stored. */
export function isMinimal(acl: Acl): boolean {
  return acl.every(({ tag }) => tag === ACL_USER_OBJ || tag === ACL_GROUP_OBJ || tag === ACL_OTHER);
}

/** The access ACL after chmod(2) to `mode`. */
export function withMode(acl: Acl, mode: number): Acl {
  const group = groupClassTag(acl);
  return acl.map((entry) => {
    const shift = shiftOf(entry.tag, group);
    return shift === undefined ? entry : { ...entry, permissions: (mode >> shift) & 7 };
  });
}

/**
 * The mode and the access ACL of an inode that is made with `mode` in a directory with a default ACL; the ACL is
 * undefined where the mode alone expresses it. The umask does not apply.
 */
export function inherit(defaultAcl: Acl, mode: number): { mode: number; acl: Acl | undefined } {
  const group = groupClassTag(defaultAcl);
  const acl = defaultAcl.map((entry) => {
    const shift = shiftOf(entry.tag, group);
    return shift === undefined ? entry : { ...entry, permissions: entry.permissions & (mode >> shift) & 7 };
  });
  return { mode: (mode & ~PERMISSION_BITS) | modeOf(acl), acl: isMinimal(acl) ? undefined : acl };
}

/** The entry that the mode shows as the group's bits. */
function groupClassTag(acl: Acl): number {
  return acl.some(({ tag }) => tag === ACL_MASK) ? ACL_MASK : ACL_GROUP_OBJ;
}

/** The shift of an entry's permissions in a mode; undefined for entries that a mode does not show. */
function shiftOf(tag: number, group: number): number | undefined {
  if (tag === ACL_USER_OBJ) return 6;
  if (tag === group) return 3;
  return tag === ACL_OTHER ? 0 : undefined;
}

/**
 * Whether an access ACL allows `credentials` all of `mask`, by the algorithm of acl(5). The first of these that applies
 * decides: the owner's entry, the entry of a named user, the entries of the caller's groups (it is enough that one of
 * them allows all of `mask`), the entry for others. (Where the ACL's mask allows nothing at all, Linux treats named
 * users and groups as others; here they have no access.)
 */
export function isAllowedBy(
  acl: Acl,
  credentials: Credentials,
  owner: { readonly uid: number; readonly gid: number },
  mask: number,
): boolean {
  if (credentials.uid === owner.uid) return allows(acl, ACL_USER_OBJ, mask);
  const isWithinMask = !acl.some(({ tag, permissions }) => tag === ACL_MASK && (permissions & mask) !== mask);
  const user = acl.find(({ tag, id }) => tag === ACL_USER && id === credentials.uid);
  if (user !== undefined) return isWithinMask && (user.permissions & mask) === mask;
  let isMember = false;
  for (const { tag, permissions, id } of acl) {
    if (tag !== ACL_GROUP_OBJ && tag !== ACL_GROUP) continue;
    if (!isInGroup(credentials, tag === ACL_GROUP ? id : owner.gid)) continue;
    isMember = true;
    if ((permissions & mask) === mask) return isWithinMask;
  }
  return !isMember && allows(acl, ACL_OTHER, mask);
}

function allows(acl: Acl, tag: number, mask: number): boolean {
  return acl.some((entry) => entry.tag === tag && (entry.permissions & mask) === mask);
}
