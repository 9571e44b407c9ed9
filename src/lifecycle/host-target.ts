/**
 * A host directory that a commit writes to. It refuses paths with a symlink in them, so that a commit never reaches
 * anything outside the directory, whatever others rename meanwhile.
 */
import { FsError, isFsError } from '../base/index.ts';
import { type DataSource, dataOf, HostFiles } from '../files/index.ts';
import { directoryIdentity, type HostOrigin, isOrigin } from '../lower/index.ts';
import { type HostIdentity, isSameDirectory } from '../meta/index.ts';
import { type HostStat, O_DIRECTORY, O_RDONLY, type System } from '../sys/index.ts';

/** The prefix of the names of temporary files, which a commit writes beside their places. */
export const TEMPORARY_PREFIX = '.ramet-commit-';

export class HostTarget {
  /** Absolute, symlinks resolved. */
  readonly directory: string;
  readonly files: HostFiles;
  private readonly system: System;
  /** The directory's descriptor, where paths start; it holds the lock. */
  private readonly root: number;
  /**
   * The root's stat, read when first needed and then kept, since the filesystem that the root lies in does not change.
   */
  private rootStat: HostStat | undefined;

  /** ENOENT, ENOTDIR, EACCES of the directory; EBUSY while another commit works on it. */
  constructor(system: System, directory: string) {
    this.system = system;
    this.root = system.open(directory, O_RDONLY | O_DIRECTORY);
    if (!system.tryLock(this.root)) {
      system.close(this.root);
      const note = 'another commit is running there';
      throw new FsError('EBUSY', { syscall: 'commit', path: directory, note });
    }
    this.directory = directory;
    this.files = new HostFiles(system, directory, this.root);
  }

  close(): void {
    // Closing releases the lock.
    this.system.close(this.root);
  }

  /** ESTALE when this is not the directory `identity`, which the fork came from. Passes if `identity` is undefined. */
  requireSame(identity: HostIdentity | undefined): void {
    if (identity === undefined || isSameDirectory(identity, directoryIdentity(this.system, this.root)))
      return;
    const note =
      'it is not the directory that the fork came from: another one, or another filesystem, is in its place. ' +
      'Put it back, or say with --to that this one is meant';
    throw new FsError('ESTALE', { syscall: 'commit', path: this.directory, note });
  }

  /** Whether `found` is the file that a fork of this directory recorded as `origin`. */
  isOrigin(origin: HostOrigin, found: HostStat): boolean {
    this.rootStat ??= this.system.statFile(this.root);
    return isOrigin(origin, found, this.rootStat);
  }

  /** Makes everything written so far durable. */
  sync(): void {
    try {
      this.system.syncFileSystem(this.root);
    } catch (error) {
      if (!isFsError(error, 'ENOTSUP')) throw error;
      this.system.fullSync(this.root);
    }
  }

  /**
   * Runs `call`, which works on the path, and returns its result. ELOOP where the path has a symlink in it; errors name
   * the path.
   */
  at<T>(syscall: string, path: string, call: (files: HostFiles) => T): T {
    try {
      return this.files.naming(syscall, path, () => call(this.files));
    } catch (error) {
      throw this.explained(path, error);
    }
  }

  /** Like `at`, for an asynchronous call whose errors name the path already. */
  async atAsync<T>(path: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw this.explained(path, error);
    }
  }

  private explained(path: string, error: unknown): unknown {
    if (!isFsError(error, 'ELOOP')) return error;
    const note = 'a symlink is on the way to it, and may lead anywhere';
    return new FsError('ELOOP', { syscall: 'commit', path: this.files.shown(path), note });
  }

  /** The stat of a path; undefined if nothing is there, or if the parent is not a directory. */
  stat(path: string): HostStat | undefined {
    try {
      return this.at('lstat', path, (files) => files.hostStat(path));
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /** The names in a directory; '' is the root. */
  names(path: string): string[] {
    return this.at('scandir', path || '/', (files) => files.namesIn(path || '/'));
  }

  linkTarget(path: string): string {
    return this.at('readlink', path, (files) => files.readLink(path));
  }

  xattrs(path: string): Map<string, Buffer> {
    return this.at('llistxattr', path, (files) => files.xattrs(path, false));
  }

  /** Opens a file of `sizeBytes` bytes, passes it to `use`, and closes it. Returns the result of `use`. */
  reading<T>(path: string, sizeBytes: number, use: (found: DataSource) => T): T {
    return this.at('open', path, (files) => {
      const file = files.open(path, O_RDONLY, 0);
      try {
        return use(dataOf(files, file, sizeBytes));
      } finally {
        files.close(file);
      }
    });
  }
}
