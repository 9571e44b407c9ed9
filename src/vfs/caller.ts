/** On whose behalf a call is made: credentials(7). */

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** What a call makes belongs to its `uid` and `gid`. */
export interface Caller extends Credentials {
  /** Bits that new inodes do not get, unless their directory has a default ACL. */
  readonly umask: number;
  /** May do everything: the library's own user, and a mount, whose kernel has checked permission already. */
  readonly isTrusted: boolean;
  /**
   * What it writes loses set-user-ID and set-group-ID, as without CAP_FSETID. For trusted callers and user 0: writes of
   * all others clear them in any case.
   */
  readonly clearsSetId: boolean;
}

const NO_GROUPS: readonly number[] = [];

/** `umask` is cut to what umask(2) takes: it must not clear type bits, since a mode of 0 is a tombstone. */
export function trustedCaller(uid: number, gid: number, umask: number, clearsSetId = false): Caller {
  return { uid, gid, groups: NO_GROUPS, umask: umask & 0o777, isTrusted: true, clearsSetId };
}

export function isInGroup({ gid, groups }: Credentials, group: number): boolean {
  return gid === group || groups.includes(group);
}

export function isSuperuser(caller: Caller): boolean {
  return caller.isTrusted || caller.uid === 0;
}

/** Whether a file of the group `gid` may get, or keep, a set-group-ID bit at the caller's hands. */
export function mayGiveGroup(caller: Caller, gid: number): boolean {
  return isSuperuser(caller) || isInGroup(caller, gid);
}
