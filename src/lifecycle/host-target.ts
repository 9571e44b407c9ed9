/**
 * A host directory that is committed to. Every path is walked by the kernel below a descriptor of the directory, and a
 * symlink on the way is refused: nothing outside of it is reached, whoever renames what meanwhile. Where the host has
 * no such call (openat2) the directories on the way are looked at one by one instead.
 */
import { FsError, isFsError, isSymlinkMode, nameToBytes, nameToString } from '../base/index.ts';
import { directoryIdentity, type HostOrigin, isOrigin } from '../lower/index.ts';
import { type HostIdentity, isSameDirectory } from '../meta/index.ts';
import { type HostStat, O_DIRECTORY, O_PATH, O_RDONLY, type System } from '../sys/index.ts';
import { type DataSource, fileSegments, joinHost } from '../transfer/index.ts';

/** Of fcntl(2), which node:fs.constants lacks. */

/** Files that a commit makes beside those that they become. */
export const TEMPORARY_PREFIX = '.ramet-commit-';

export class HostTarget {
  /** Absolute, symlinks resolved. */
  readonly directory: string;
  private readonly system: System;
  /** Where paths begin; it has the lock. */
  private readonly root: number;
  /** Of the root, once it was needed: what part of which filesystem it lies in does not change. */
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
  }

  close(): void {
    // Closing gives the lock up.
    this.system.close(this.root);
  }

  /** ESTALE when it is not the directory that the fork came from, as far as that is known. */
  requireSame(identity: HostIdentity | undefined): void {
    if (identity === undefined || isSameDirectory(identity, directoryIdentity(this.system, this.root)))
      return;
    const note =
      'it is not the directory that the fork came from: another one, or another filesystem, is in its place. ' +
      'Put it back, or say with --to that this one is meant';
    throw new FsError('ESTALE', { syscall: 'commit', path: this.directory, note });
  }

  /** Whether what is there now is the file that a fork of this directory recorded something of. */
  isOrigin(origin: HostOrigin, found: HostStat): boolean {
    this.rootStat ??= this.system.statFile(this.root);
    return isOrigin(origin, found, this.rootStat);
  }

  /** For messages: of what is in a directory the directory's own. */
  shown(path: string): string {
    return (this.directory === '/' ? '' : this.directory) + nameToString(path).replace(/\/\.$/, '');
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

  /**
   * Runs calls on the directory that `path` lies in and on its own name there. ELOOP where a symlink is on the way,
   * ENOENT and ENOTDIR; errors name the path.
   */
  at<T>(path: string, call: (place: Buffer, directory: Buffer) => T): T {
    const { fd, directory, place } = this.open(path);
    try {
      return this.naming(path, () => call(place, directory));
    } finally {
      if (fd !== undefined) this.system.close(fd);
    }
  }

  /** As `at`, for what takes its time. */
  async atAsync<T>(path: string, call: (place: Buffer, directory: Buffer) => Promise<T>): Promise<T> {
    const { fd, directory, place } = this.open(path);
    try {
      return await call(place, directory);
    } catch (error) {
      throw this.named(path, error);
    } finally {
      if (fd !== undefined) this.system.close(fd);
    }
  }

  /** The directory that a path lies in, and its place there; a descriptor is the caller's to close. */
  private open(path: string): {
    readonly fd: number | undefined;
    readonly directory: Buffer;
    readonly place: Buffer;
  } {
    const slash = path.lastIndexOf('/');
    const parent = path.slice(0, slash);
    const fd = this.openDirectory(parent, path);
    const directory = fd === undefined ? this.pathOf(parent) : Buffer.from(`/proc/self/fd/${fd}`);
    return { fd, directory, place: joinHost(directory, path.slice(slash + 1)) };
  }

  private pathOf(path: string): Buffer {
    return Buffer.concat([Buffer.from(this.directory), nameToBytes(path)]);
  }

  private openDirectory(path: string, shown: string): number | undefined {
    let fd: number;
    try {
      const from = nameToBytes(path === '' ? '/' : path);
      fd = this.system.openInRoot(this.root, from, O_PATH | O_DIRECTORY);
    } catch (error) {
      if (!isFsError(error, 'ENOTSUP')) throw this.named(shown, error);
      this.walk(path, shown);
      return undefined;
    }
    const [root, found] = [this.root, fd].map((of) =>
      this.system.readHostLink(Buffer.from(`/proc/self/fd/${of}`)),
    ) as [Buffer, Buffer];
    if (found.equals(Buffer.concat([root, nameToBytes(path)]))) return fd;
    this.system.close(fd);
    throw this.hasSymlink(shown);
  }

  private walk(path: string, shown: string): void {
    for (let slash = path.indexOf('/', 1); path !== ''; slash = path.indexOf('/', slash + 1)) {
      const part = slash === -1 ? path : path.slice(0, slash);
      const { mode } = this.naming(shown, () => this.system.statHost(this.pathOf(part), false));
      if (isSymlinkMode(mode)) throw this.hasSymlink(shown);
      if (slash === -1) return;
    }
  }

  private hasSymlink(path: string): FsError {
    const note = 'a symlink is on the way to it, and may lead anywhere';
    return new FsError('ELOOP', { syscall: 'commit', path: this.shown(path), note });
  }

  private naming<T>(path: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw this.named(path, error);
    }
  }

  /** The paths of calls go through a descriptor, and tell people nothing. */
  private named(path: string, error: unknown): unknown {
    if (!(error instanceof FsError) || error.path?.startsWith(this.directory)) return error;
    const isOurs = error.path === undefined || error.path.startsWith('/proc/self/fd/') || error.path === path;
    if (!isOurs && error.syscall !== 'openat2') return error;
    return new FsError(error.code, { syscall: error.syscall, path: this.shown(path), note: error.note });
  }

  /** What is at a path; undefined where nothing is, or where its directory is none. */
  stat(path: string): HostStat | undefined {
    try {
      return this.at(path, (place) => this.system.statHost(place, false));
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  names(path: string): string[] {
    return this.at(`${path}/.`, (place) => this.system.readHostDirectory(place)).map(({ name }) => name);
  }

  linkTarget(path: string): string {
    return this.at(path, (place) => this.system.readHostLink(place)).toString('latin1');
  }

  xattrs(path: string): Map<string, Buffer> {
    return this.at(path, (place) => this.system.readHostXattrs(place));
  }

  /** Opens a file of this size for as long as the call takes. */
  reading<T>(path: string, sizeBytes: number, use: (found: DataSource) => T): T {
    return this.at(path, (place) => {
      const fd = this.system.openHost(place, O_RDONLY);
      try {
        return use({
          segments: fileSegments(this.system, fd, sizeBytes),
          read: (bytes, length, position) => this.system.pread(fd, bytes, 0, length, position),
        });
      } finally {
        this.system.close(fd);
      }
    });
  }
}
