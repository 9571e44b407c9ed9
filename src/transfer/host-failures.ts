/** What the failures of a host file mean to an import: the file's own, and which of them it can do without the file. */
import { FsError } from '../base/index.ts';
import { showHost } from './host-tree.ts';

/**
 * Whether an error is about this host file: one of the store's own files, or without a path, is the store's.
 */
export function isFailureOf(error: unknown, hostPath: Buffer): error is FsError {
  return error instanceof FsError && error.path === showHost(hostPath);
}

/** What `skipUnreadable` forgives: the file's own failures, not the store's. */
export const UNREADABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EIO', 'ENODEV', 'ESTALE']);

/** What opening or reading says of a file that went away or was replaced by something else. */
export const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ELOOP', 'ENXIO']);
