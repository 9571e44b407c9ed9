/** Failures of a host file that an import survives by leaving the file out. */

/** With `skipUnreadable`: failures of the file itself, not of the store. */
export const UNREADABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EIO', 'ENODEV', 'ESTALE']);

/** A file that was removed, or replaced by something else. */
export const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ELOOP', 'ENXIO']);
