/**
 * What POSIX access control lists mean: acl(5), as Linux has them (fs/posix_acl.c).
 *
 * Invariant: the ACL of an inode and the permission bits of its mode say the same. The owner's bits are those of the
 * owner's entry, the others' bits those of the others' entry, and the group's bits those of the mask, or of the owning
 * group's entry where there is no mask.
 */
import { FsError } from '../base/index.ts';
import { type Credentials, isInGroup } from './caller.ts';
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  type Acl,
} from './posix-acl-format.ts';

const PERMISSION_BITS = 0o777;

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

/** The permission bits of a mode that go with a valid ACL. */
export function modeOf(acl: Acl): number {
  const group = groupClassTag(acl);
  let bits = 0;
  for (const { tag, permissions } of acl) {
    if (tag === ACL_USER_OBJ) bits |= permissions << 6;
    else if (tag === group) bits |= permissions << 3;
    else if (tag === ACL_OTHER) bits |= permissions;
  }
  return bits;
}

/** Whether a mode says all that `acl` does; then no ACL is stored. */
export function isMinimal(acl: Acl): boolean {
  return acl.every(({ tag }) => tag === ACL_USER_OBJ || tag === ACL_GROUP_OBJ || tag === ACL_OTHER);
}

/** What an access ACL becomes when its inode gets `mode`, by chmod(2). */
export function withMode(acl: Acl, mode: number): Acl {
  const group = groupClassTag(acl);
  return acl.map((entry) => {
    const shift = shiftOf(entry.tag, group);
    return shift === undefined ? entry : { ...entry, permissions: (mode >> shift) & 7 };
  });
}

export interface Inherited {
  /** With the bits of the requested mode that are no permissions. */
  readonly mode: number;
  /** The access ACL; undefined when the mode says it all. */
  readonly acl: Acl | undefined;
}

/** What an inode that is made with `mode` gets from the default ACL of its directory. The umask does not apply. */
export function inherit(defaultAcl: Acl, mode: number): Inherited {
  const group = groupClassTag(defaultAcl);
  const acl = defaultAcl.map((entry) => {
    const shift = shiftOf(entry.tag, group);
    return shift === undefined ? entry : { ...entry, permissions: entry.permissions & (mode >> shift) & 7 };
  });
  return { mode: (mode & ~PERMISSION_BITS) | modeOf(acl), acl: isMinimal(acl) ? undefined : acl };
}

/** The entry that the group's bits of the mode stand for. */
function groupClassTag(acl: Acl): number {
  return acl.some(({ tag }) => tag === ACL_MASK) ? ACL_MASK : ACL_GROUP_OBJ;
}

/** Where in a mode the permissions of an entry stand; undefined for those that have no place there. */
function shiftOf(tag: number, group: number): number | undefined {
  if (tag === ACL_USER_OBJ) return 6;
  if (tag === group) return 3;
  return tag === ACL_OTHER ? 0 : undefined;
}

/** The owner and the group of an inode. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whether an access ACL allows `credentials` all of `mask`, by the algorithm of acl(5): the owner's entry, or that of
 * a named user, or any of those for the groups, else the others'. (Where the ACL's mask allows nothing at all, Linux
 * treats named users and groups as others; here they have no access.)
 */
export function isAllowedBy(acl: Acl, credentials: Credentials, owner: Ownership, mask: number): boolean {
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
