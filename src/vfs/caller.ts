/** The user on whose behalf a call is made: credentials(7). */

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** The caller of an operation. New inodes belong to the caller's `uid` and `gid`. */
export interface Caller extends Credentials {
  /** Mode bits that new inodes do not get; ignored where their directory has a default ACL. */
  readonly umask: number;
  /** True if the caller may do everything: the library's own user, or a mount, where the kernel checks permission. */
  readonly isTrusted: boolean;
  /**
   * True if files that this caller writes lose set-user-ID and set-group-ID, as without CAP_FSETID. Matters only for
   * trusted callers and user 0, because writes by other callers always clear these bits.
   */
  readonly clearsSetId: boolean;
}

const NO_GROUPS: readonly number[] = [];

/**
 * A trusted caller. Like umask(2), this ignores all but the permission bits of `umask`. A new inode must not lose its
 * type bits, because a mode of 0 is a tombstone.
 */
export function trustedCaller(uid: number, gid: number, umask: number, clearsSetId = false): Caller {
  return { uid, gid, groups: NO_GROUPS, umask: umask & 0o777, isTrusted: true, clearsSetId };
}

export function isInGroup({ gid, groups }: Credentials, group: number): boolean {
  return gid === group || groups.includes(group);
}

export function isSuperuser(caller: Caller): boolean {
  return caller.isTrusted || caller.uid === 0;
}

/** True if the caller may set, or leave set, the set-group-ID bit of a file of group `gid`. */
export function mayGiveGroup(caller: Caller, gid: number): boolean {
  return isSuperuser(caller) || isInGroup(caller, gid);
}
