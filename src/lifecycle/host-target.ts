/**
 * A host directory that a commit writes to. A symlink on the way to a file is refused: nothing outside the directory is
 * reached, whatever is renamed meanwhile.
 */
import { FsError, isFsError } from '../base/index.ts';
import { type DataSource, dataOf, HostFiles } from '../files/index.ts';
import { directoryIdentity, type HostOrigin, isOrigin } from '../lower/index.ts';
import { type HostIdentity, isSameDirectory } from '../meta/index.ts';
import { type HostStat, O_DIRECTORY, O_RDONLY, type System } from '../sys/index.ts';

/** Begins the names of temporary files, which a commit makes beside the files that they become. */
export const TEMPORARY_PREFIX = '.ramet-commit-';

export class HostTarget {
  /** Absolute, symlinks resolved. */
  readonly directory: string;
  readonly files: HostFiles;
  private readonly system: System;
  /** The directory's descriptor, where paths begin; the lock is on it. */
  private readonly root: number;
  /** The root's stat, once needed: which part of which filesystem the root lies in does not change. */
  private rootStat: HostStat | undefined;

  /** ENOENT, ENOTDIR, EACCES of the directory; EBUSY when another commit is at work in it. */
  constructor(system: System, directory: string) {
    this.system = system;
    this.root = system.open(directory, O_RDONLY | O_DIRECTORY);
    if (!system.tryLock(this.root)) {
      system.close(this.root);
      const note = 'another commit is at work there';
      throw new FsError('EBUSY', { syscall: 'commit', path: directory, note });
    }
    this.directory = directory;
    this.files = new HostFiles(system, directory, this.root);
  }

  close(): void {
    // Closing gives the lock up.
    this.system.close(this.root);
  }

  /** ESTALE when this is not the directory that the fork came from, as far as that is known. */
  requireSame(identity: HostIdentity | undefined): void {
    if (identity === undefined || isSameDirectory(identity, directoryIdentity(this.system, this.root)))
      return;
    const note =
      'it is not the directory that the fork came from: another one, or another filesystem, is in its place. ' +
      'Put it back, or say with --to that this one is meant';
    throw new FsError('ESTALE', { syscall: 'commit', path: this.directory, note });
  }

  /** Whether `found`, which is there now, is the file that a fork of this directory recorded as `origin`. */
  isOrigin(origin: HostOrigin, found: HostStat): boolean {
    this.rootStat ??= this.system.statFile(this.root);
    return isOrigin(origin, found, this.rootStat);
  }

  /** For messages. */
  shown(path: string): string {
    return this.files.shown(path);
  }

  /** Everything written so far becomes durable. */
  sync(): void {
    try {
      this.system.syncFileSystem(this.root);
    } catch (error) {
      if (!isFsError(error, 'ENOTSUP')) throw error;
      this.system.fullSync(this.root);
    }
  }

  /** Runs a call on what is at a path. ELOOP where a symlink is on the way; errors name the path. */
  at<T>(syscall: string, path: string, call: (files: HostFiles) => T): T {
    try {
      return this.files.naming(syscall, path, () => call(this.files));
    } catch (error) {
      throw this.explained(path, error);
    }
  }

  /** As `at`, for an asynchronous call whose errors name the path already. */
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
    return new FsError('ELOOP', { syscall: 'commit', path: this.shown(path), note });
  }

  /** What is at a path; undefined where nothing is, or where what should be its directory is not one. */
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

  /** Opens a file of this size for as long as the call takes. */
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
