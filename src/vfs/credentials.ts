/** Who acts: credentials(7). */

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

export function isInGroup(credentials: Credentials, gid: number): boolean {
  return credentials.gid === gid || credentials.groups.includes(gid);
}

/** Without credentials the caller is the superuser: the library's own user may do everything. */
export function isSuperuser(credentials: Credentials | undefined): boolean {
  return credentials === undefined || credentials.uid === 0;
}

/** Whether a file of the group `gid` may get, or keep, a set-group-ID bit at the caller's hands. */
export function mayGiveGroup(credentials: Credentials | undefined, gid: number): boolean {
  return credentials === undefined || credentials.uid === 0 || isInGroup(credentials, gid);
}
