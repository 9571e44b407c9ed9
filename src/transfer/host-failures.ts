/** Which failures of a host file an import can do without the file. */

/** What `skipUnreadable` forgives: the file's own failures, not the store's. */
export const UNREADABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EIO', 'ENODEV', 'ESTALE']);

/** What opening or reading says of a file that went away or was replaced by something else. */
export const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ELOOP', 'ENXIO']);
