/**
 * A tree of files on the host: what lies below one directory, which is held open. Every step goes by descriptor below
 * it, and a symlink on the way is refused (ELOOP), so that nothing outside is reached, whoever renames what meanwhile.
 * What is done to a file is done to a descriptor of it.
 *
 * Paths are absolute in the tree, byte strings. Errors have a code and a note, as those of every tree; `naming` adds
 * the call and the host's path.
 */
import { accessSync } from 'node:fs';
import {
  codeOfErrno,
  FsError,
  isFsError,
  type Name,
  nameToBytes,
  nameToString,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
} from '../base/index.ts';
import {
  fileLink,
  type HostStat,
  O_APPEND,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  type System,
} from '../sys/index.ts';
import type { Attributes, DirectoryEntry, TimeChange, TreeFile, TreeFiles } from '../vfs/index.ts';
import type { Wearer } from './dress.ts';
import { attributesOf, timeOf } from './host-attributes.ts';
import { OpenDirectories } from './open-directories.ts';

const HERE = Buffer.from('.');
/** Enough for every directory on the way to most files. */
const DIRECTORIES_MAX = 64;

class HostFile implements TreeFile {
  readonly path: string;
  readonly fd: number;
  readonly isAppending: boolean;
  position = 0;
  isOpen = true;

  constructor(fd: number, flags: number, path: string) {
    this.fd = fd;
    this.path = path;
    this.isAppending = (flags & O_APPEND) !== 0;
  }
}

/** A name that no call follows, below a descriptor of the directory it lies in. */
export type NamedCall<T> = (directory: number, name: Buffer) => T;

export interface HostFilesOptions {
  readonly isReadOnly?: boolean;
  /**
   * Directories stay open, for work that takes one file after the other. Where one is moved meanwhile, work goes on in
   * it.
   */
  readonly keepsDirectories?: boolean;
}

export class HostFiles implements TreeFiles {
  readonly isReadOnly: boolean;
  /** The host's path of the root, for messages. */
  readonly directory: string;
  protected readonly system: System;
  private readonly keepsDirectories: boolean;
  private readonly directories: OpenDirectories;

  /** `root` is the caller's to close. */
  constructor(system: System, directory: string, root: number, options: HostFilesOptions = {}) {
    this.system = system;
    this.directory = directory;
    this.isReadOnly = options.isReadOnly ?? false;
    this.keepsDirectories = options.keepsDirectories ?? false;
    this.directories = new OpenDirectories(system, root, DIRECTORIES_MAX);
  }

  /** Lets go of the directories that it holds open. */
  end(): void {
    this.directories.forget();
  }

  /** The host's path, for messages. */
  shown(path: string): string {
    if (path === '/') return this.directory;
    return (this.directory === '/' ? '' : this.directory) + nameToString(path);
  }

  /** Adds the call and the host's path to an error that has no path. */
  naming<T>(syscall: string, path: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof FsError) || error.path !== undefined) throw error;
      throw new FsError(error.code, { syscall, path: this.shown(path), note: error.note });
    }
  }

  // How paths are walked. A tree in which symlinks lead somewhere does these two in its own way.

  /** Opens what is at a path. The last name may be a symlink with O_PATH and O_NOFOLLOW. */
  openPath(path: string, flags: number, mode?: number): number {
    return this.named(path, (directory, name) => this.system.openAt(directory, name, flags, mode));
  }

  named<T>(path: string, use: NamedCall<T>): T {
    const slash = path.lastIndexOf('/');
    const name = slash === path.length - 1 ? HERE : nameToBytes(path.slice(slash + 1));
    try {
      return attempt(() => use(this.directories.get(path.slice(0, slash)), name));
    } finally {
      if (!this.keepsDirectories) this.directories.forget();
    }
  }

  /** As `named`, for what `path` leads to when symlinks are followed. */
  protected namedAs<T>(path: string, _follow: boolean, use: NamedCall<T>): T {
    return this.named(path, use);
  }

  /** Opens what is at a path, for a moment, without reading or writing it. */
  protected at<T>(path: string, follow: boolean, use: (fd: number) => T): T {
    const fd = this.openPath(path, O_PATH | (follow ? 0 : O_NOFOLLOW));
    try {
      return attempt(() => use(fd));
    } finally {
      this.system.close(fd);
    }
  }

  // Attributes.

  /** All that the host says of what is at a path; a symlink is not followed. */
  hostStat(path: string): HostStat {
    return this.named(path, (directory, name) => this.system.lstatAt(directory, name));
  }

  stat(path: string, follow: boolean): Attributes {
    return attributesOf(follow ? this.at(path, true, (fd) => this.system.statFile(fd)) : this.hostStat(path));
  }

  tryStat(path: string, follow: boolean): Attributes | undefined {
    try {
      return this.stat(path, follow);
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  statFile(file: TreeFile): Attributes {
    return attributesOf(onFile(file, (fd) => this.system.statFile(fd)));
  }

  access(path: string, mode: number): void {
    this.at(path, true, (fd) => accessSync(fileLink(fd), mode));
  }

  /** The path itself, in a tree whose symlinks are not followed. */
  realPath(path: string): string {
    this.hostStat(path);
    return path;
  }

  chmod(path: string, mode: number, follow: boolean): void {
    this.at(path, follow, (fd) => this.system.chmodFile(fd, mode));
  }

  chmodFile(file: TreeFile, mode: number): void {
    onFile(file, (fd) => this.system.chmodFile(fd, mode));
  }

  chown(path: string, uid: number, gid: number, follow: boolean): void {
    this.at(path, follow, (fd) => this.system.chownFile(fd, uid, gid));
  }

  chownFile(file: TreeFile, uid: number, gid: number): void {
    onFile(file, (fd) => this.system.chownFile(fd, uid, gid));
  }

  setTimes(path: string, atime: TimeChange, mtime: TimeChange, follow: boolean): void {
    this.at(path, follow, (fd) => this.system.setFileTimes(fd, timeOf(atime), timeOf(mtime)));
  }

  setFileTimes(file: TreeFile, atime: TimeChange, mtime: TimeChange): void {
    onFile(file, (fd) => this.system.setFileTimes(fd, timeOf(atime), timeOf(mtime)));
  }

  getXattr(path: string, name: string, follow: boolean): Buffer {
    const value = this.xattrs(path, follow).get(name);
    if (value === undefined) throw new FsError('ENODATA');
    return value;
  }

  setXattr(path: string, name: string, value: Uint8Array, flags: number, follow: boolean): void {
    if (flags !== 0) throw new FsError('ENOTSUP');
    this.at(path, follow, (fd) => this.system.writeFileXattr(fd, name, value));
  }

  listXattrs(path: string, follow: boolean): string[] {
    return [...this.xattrs(path, follow).keys()];
  }

  xattrs(path: string, follow: boolean): Map<string, Buffer> {
    return this.at(path, follow, (fd) => this.system.readFileXattrs(fd));
  }

  /**
   * Sets attributes of what was made at a path, as a directory or as what is of this mode: ESTALE when something else
   * has come to its place, or another name of a file.
   */
  dressing(path: string, mode: number, use: (wearer: Wearer) => void): void {
    const fd = this.openToDress(path, mode);
    try {
      const { mode: found, nlink } = this.system.statFile(fd);
      const isDirectory = (mode & S_IFMT) === S_IFDIR;
      if ((found & S_IFMT) !== (mode & S_IFMT) || (nlink > 1 && !isDirectory))
        throw new FsError('ESTALE', { note: 'something else came to its place meanwhile' });
      use(this.wearer(fd));
    } finally {
      this.system.close(fd);
    }
  }

  /** A directory is opened to be read, where that is allowed: calls on what was opened with O_PATH take longer. */
  private openToDress(path: string, mode: number): number {
    if ((mode & S_IFMT) !== S_IFDIR) return this.openPath(path, O_PATH | O_NOFOLLOW);
    const inside = path === '/' ? path : `${path}/`;
    try {
      return this.openPath(inside, O_RDONLY | O_DIRECTORY);
    } catch (error) {
      if (!isFsError(error, 'EACCES')) throw error;
      return this.openPath(inside, O_PATH | O_DIRECTORY);
    }
  }

  /** Sets attributes of an open file. */
  dressingFile(file: TreeFile): Wearer {
    return this.wearer(onFile(file, (fd) => fd));
  }

  private wearer(fd: number): Wearer {
    const { system } = this;
    return {
      chown: (uid, gid) => attempt(() => system.chownFile(fd, uid, gid)),
      setXattr: (name, value) => attempt(() => system.writeFileXattr(fd, name, value)),
      chmod: (mode) => attempt(() => system.chmodFile(fd, mode)),
      setTimes: (atime, mtime) => attempt(() => system.setFileTimes(fd, atime, mtime)),
    };
  }

  // Open files.

  /** ENXIO for what is neither a file nor a directory, which may have come to its place meanwhile. */
  open(path: string, flags: number, mode: number): TreeFile {
    const fd = this.openPath(path, flags | O_NONBLOCK, mode);
    if ((flags & O_EXCL) !== 0) return new HostFile(fd, flags, path);
    const type = attempt(() => this.system.statFile(fd)).mode & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR) return new HostFile(fd, flags, path);
    this.system.close(fd);
    throw new FsError('ENXIO', { note: 'devices, fifos and sockets are for programs in the mount' });
  }

  close(file: TreeFile): void {
    const open = opened(file);
    open.isOpen = false;
    this.system.close(open.fd);
  }

  read(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number | null): number {
    const at = position ?? file.position;
    const count = onFile(file, (fd) => this.system.pread(fd, target, offset, length, at));
    if (position === null) file.position += count;
    return count;
  }

  /** The thread that waits is this one, whichever call it makes. */
  tryRead(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.read(file, target, offset, length, position);
  }

  /** All of it. */
  write(file: TreeFile, source: Uint8Array, offset: number, length: number, position: number | null): number {
    const at = position ?? file.position;
    onFile(file, (fd) => this.system.pwrite(fd, source, offset, length, at));
    if (position === null) file.position = opened(file).isAppending ? this.statFile(file).size : at + length;
    return length;
  }

  truncateFile(file: TreeFile, size: number): void {
    onFile(file, (fd) => this.system.truncate(fd, size));
  }

  seekData(file: TreeFile, position: number): number {
    return orEnd(onFile(file, (fd) => this.system.seekData(fd, position)));
  }

  seekHole(file: TreeFile, position: number): number {
    return orEnd(onFile(file, (fd) => this.system.seekHole(fd, position)));
  }

  sync(file: TreeFile, dataOnly: boolean): void {
    onFile(file, (fd) => (dataOnly ? this.system.dataSync(fd) : this.system.fullSync(fd)));
  }

  reflink(source: TreeFile, target: TreeFile, from: TreeFiles = this): void {
    const isShared =
      from instanceof HostFiles &&
      onFile(source, (old) => onFile(target, (fd) => this.system.cloneFile(old, fd)));
    if (!isShared) throw new FsError('EXDEV');
  }

  // Names.

  makeDirectory(path: string, mode: number): void {
    this.named(path, (directory, name) => this.system.makeDirectoryAt(directory, name, mode));
  }

  removeDirectory(path: string): void {
    this.directories.forget();
    this.named(path, (directory, name) => this.system.removeDirectoryAt(directory, name));
  }

  unlink(path: string): void {
    this.named(path, (directory, name) => this.system.unlinkAt(directory, name));
  }

  rename(from: string, to: string): void {
    this.named(from, (old, name) =>
      this.named(to, (directory, newName) => this.system.renameAt(old, name, directory, newName)),
    );
    this.directories.forget();
  }

  link(existing: string, path: string, followExisting: boolean): void {
    this.namedAs(existing, followExisting, (old, name) =>
      this.named(path, (directory, newName) => this.system.linkAt(old, name, directory, newName)),
    );
  }

  symlink(target: string, path: string): void {
    this.named(path, (directory, name) => this.system.symlinkAt(nameToBytes(target), directory, name));
  }

  readLink(path: string): string {
    return this.named(path, (directory, name) => this.system.readLinkAt(directory, name)).toString('latin1');
  }

  makeNode(path: string, mode: number, rdev: number): void {
    this.named(path, (directory, name) => this.system.makeNodeAt(directory, name, mode, rdev));
  }

  // Directories.

  readDirectory(path: string): DirectoryEntry[] {
    const file = this.open(path, O_RDONLY | O_DIRECTORY, 0);
    try {
      return this.openDirectoryEntries(file);
    } finally {
      this.close(file);
    }
  }

  openDirectoryEntries(file: TreeFile): DirectoryEntry[] {
    const entries = onFile(file, (fd) => this.system.readDirectory(fd));
    // The cast: a name that the kernel gives is one.
    return entries.map(({ name, ino, kind }) => ({ name: name as Name, ino: Number(ino), kind }));
  }

  readDirectoryNames(path: string): Name[] {
    return this.readDirectory(path).map(({ name }) => name);
  }
}

function opened(file: TreeFile): HostFile {
  if (!(file instanceof HostFile) || !file.isOpen) throw new FsError('EBADF');
  return file;
}

function onFile<T>(file: TreeFile, call: (fd: number) => T): T {
  const { fd } = opened(file);
  return attempt(() => call(fd));
}

/** Runs a call, which fails as those of `FileSystem` do: with a code alone, to which the caller adds the path. */
export function attempt<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof FsError) throw new FsError(error.code, { note: error.note });
    if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') throw error;
    throw new FsError(codeOfErrno(-error.errno));
  }
}

function orEnd(position: number | undefined): number {
  if (position === undefined) throw new FsError('ENXIO');
  return position;
}
