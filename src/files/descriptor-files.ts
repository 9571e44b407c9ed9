/**
 * A tree of files on the host, by descriptor: every call works on an open file, or on a name in an open directory.
 * Calls follow a symlink at the end of a path only if the caller asks for it. Subclasses walk the paths: `HostFiles`,
 * and `MountedFileSystem` in owner.
 *
 * Paths are byte strings, absolute in the tree. Errors have a code and a note, like those of every tree.
 */
import { accessSync } from 'node:fs';
import {
  BLOCK_SIZE,
  codeOfErrno,
  FsError,
  isFsError,
  type Name,
  nameToBytes,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  type Timespec,
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
  UTIME_NOW,
  UTIME_OMIT,
} from '../sys/index.ts';
import type { Attributes, DirectoryEntry, TimeChange, TreeFile, TreeFiles } from '../vfs/index.ts';

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

/** A call on a name in an open directory. It does not follow a symlink. */
export type NamedCall<T> = (directory: number, name: Buffer) => T;

export abstract class DescriptorFiles implements TreeFiles {
  readonly isReadOnly: boolean;
  /** Path of the tree's root on the host. */
  readonly directory: string;
  protected readonly system: System;

  constructor(system: System, directory: string, isReadOnly: boolean) {
    this.system = system;
    this.directory = directory;
    this.isReadOnly = isReadOnly;
  }

  // How paths are walked.

  /** Opens a path. With O_PATH and O_NOFOLLOW it can open a symlink. */
  abstract openPath(path: string, flags: number, mode?: number): number;
  protected abstract named<T>(path: string, use: NamedCall<T>): T;
  /** The path with all symlinks resolved. */
  abstract realPath(path: string): string;

  /** Opens a path with O_PATH, passes the descriptor to `use`, and closes it. Returns the result of `use`. */
  protected at<T>(path: string, follow: boolean, use: (fd: number) => T): T {
    const fd = this.openPath(path, O_PATH | (follow ? 0 : O_NOFOLLOW));
    try {
      return attempt(() => use(fd));
    } finally {
      this.system.close(fd);
    }
  }

  // Attributes.

  stat(path: string, follow: boolean): Attributes {
    return attributesOf(this.at(path, follow, (fd) => this.system.statFile(fd)));
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

  // Open files.

  /** ENXIO for a device, fifo or socket, which may have appeared at the path since the caller checked. */
  open(path: string, flags: number, mode: number): TreeFile {
    const fd = this.openPath(path, flags | O_NONBLOCK, mode);
    if ((flags & O_EXCL) !== 0 || !this.refusesNodes(flags)) return new HostFile(fd, flags, path);
    const type = attempt(() => this.system.statFile(fd)).mode & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR) return new HostFile(fd, flags, path);
    this.system.close(fd);
    throw new FsError('ENXIO', { note: 'devices, fifos and sockets are for programs in the mount' });
  }

  /** True if `open` with these flags must refuse devices, fifos and sockets. */
  protected refusesNodes(_flags: number): boolean {
    return true;
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

  /** Waits like `read`, since a read of a host file always blocks this thread. */
  tryRead(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.read(file, target, offset, length, position);
  }

  write(file: TreeFile, source: Uint8Array, offset: number, length: number, position: number | null): number {
    const at = position ?? file.position;
    const count = onFile(file, (fd) => this.writeAt(fd, source, offset, length, at));
    if (position === null) file.position = opened(file).isAppending ? this.statFile(file).size : at + count;
    return count;
  }

  /** Returns how many bytes it wrote. */
  protected writeAt(fd: number, source: Uint8Array, offset: number, length: number, at: number): number {
    this.system.pwrite(fd, source, offset, length, at);
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

  abstract reflink(source: TreeFile, target: TreeFile, from?: TreeFiles): void;

  // Names.

  makeDirectory(path: string, mode: number): void {
    this.named(path, (directory, name) => this.system.makeDirectoryAt(directory, name, mode));
  }

  removeDirectory(path: string): void {
    this.named(path, (directory, name) => this.system.removeDirectoryAt(directory, name));
  }

  unlink(path: string): void {
    this.named(path, (directory, name) => this.system.unlinkAt(directory, name));
  }

  rename(from: string, to: string): void {
    this.named(from, (old, name) =>
      this.named(to, (directory, newName) => this.system.renameAt(old, name, directory, newName)),
    );
  }

  link(existing: string, path: string, followExisting: boolean): void {
    this.named(followExisting ? this.realPath(existing) : existing, (old, name) =>
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
    // The cast: the kernel returns valid names.
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

/** Makes a call on the descriptor of an open file, with the errors of `attempt`. */
export function onFile<T>(file: TreeFile, call: (fd: number) => T): T {
  const { fd } = opened(file);
  return attempt(() => call(fd));
}

/** Makes a call. Turns its errors into those of a `FileSystem`, which have no path, so the caller adds the path. */
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

export function attributesOf(stat: HostStat): Attributes {
  const { dev, ino, mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, btime = ctime } = stat;
  return {
    dev,
    // Rounds inode numbers of the host from 2^53 on. The inode numbers of a store's trees are below that.
    ino: Number(ino),
    mode,
    nlink,
    uid,
    gid,
    rdev,
    size,
    blksize: BLOCK_SIZE,
    blocks,
    atimeSeconds: atime.seconds,
    atimeNanoseconds: atime.nanoseconds,
    mtimeSeconds: mtime.seconds,
    mtimeNanoseconds: mtime.nanoseconds,
    ctimeSeconds: ctime.seconds,
    ctimeNanoseconds: ctime.nanoseconds,
    birthSeconds: btime.seconds,
    birthNanoseconds: btime.nanoseconds,
  };
}

function timeOf(change: TimeChange): Timespec {
  if (change === 'now') return UTIME_NOW;
  return change === 'omit' ? UTIME_OMIT : change;
}
