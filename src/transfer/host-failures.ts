/** Codes of failures of a host file that an import survives by leaving the file out. */

/** Codes of failures of the file itself, not of the store. An import with `skipUnreadable` leaves such a file out. */
export const UNREADABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EIO', 'ENODEV', 'ESTALE']);

/** Codes for a file that was removed, or replaced by something else. */
export const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ELOOP', 'ENXIO']);
