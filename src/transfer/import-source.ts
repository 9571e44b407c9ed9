/** The host directory that an import reads, file by file. Errors name the path. */
import { FsError, type Name } from '../base/index.ts';
import type { HostFiles } from '../files/index.ts';
import { type HostStat, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } from '../sys/index.ts';

/** O_NONBLOCK: a fifo that someone put in a file's place must not block the import. */
const OPEN_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

export class ImportSource {
  private readonly files: HostFiles;

  constructor(files: HostFiles) {
    this.files = files;
  }

  /** The host's path, for messages. */
  shown(path: string): string {
    return this.files.shown(path);
  }

  /** True if an error is about this host file. Errors with another path, or without one, are about the store. */
  isFailureOf(error: unknown, path: string): error is FsError {
    return error instanceof FsError && error.path === this.shown(path);
  }

  /**
   * The names in a directory, in byte order, so that two imports of one tree give the same inode numbers, packing and
   * report.
   */
  names(path: string): Name[] {
    return this.files.namesIn(path).sort((a, b) => (a < b ? -1 : 1));
  }

  stat(path: string): HostStat {
    return this.files.naming('lstat', path, () => this.files.hostStat(path));
  }

  xattrs(path: string): Map<string, Buffer> {
    return this.files.naming('llistxattr', path, () => this.files.xattrs(path, false));
  }

  linkTarget(path: string): string {
    return this.files.naming('readlink', path, () => this.files.readLink(path));
  }

  open(path: string): number {
    return this.files.naming('open', path, () => this.files.openPath(path, OPEN_FLAGS));
  }

  /** Like `xattrs`, for an open file: `read` reads them from its descriptor. */
  xattrsOf(path: string, read: () => Map<string, Buffer>): Map<string, Buffer> {
    return this.files.naming('llistxattr', path, read);
  }
}
