/**
 * A tree that the owner has mounted, reached through its mount point by another process. It passes for the `FileSystem`
 * of a tree that this process has open.
 *
 * Every path is walked in the kernel with the mount point as its root (openat2), so that no symlink and no '..' in the
 * tree leads to the host, whatever programs in it rename meanwhile. What has to be named then is named below a
 * descriptor of its directory, and the last part of a path is never followed.
 */
import {
  accessSync,
  chownSync,
  closeSync,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import {
  BLOCK_SIZE,
  codeOfErrno,
  FsError,
  type Name,
  nameToBytes,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  type Timespec,
} from '../base/index.ts';
import {
  type HostStat,
  O_APPEND,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  type System,
} from '../sys/index.ts';
import type { Attributes, DirectoryEntry, TimeChange, TreeFile, TreeFiles } from '../vfs/index.ts';

/** Of fcntl(2), which node:fs.constants lacks; the same on every architecture that openat2 is called on. */
/** statfs(2). */
const FUSE_SUPER_MAGIC = 0x65735546;
/** utimensat(2): nanoseconds that stand for the present, and for the time that is there. */
const UTIME_NOW: Timespec = { seconds: 0, nanoseconds: 0x3fffffff };
const UTIME_OMIT: Timespec = { seconds: 0, nanoseconds: 0x3ffffffe };

class MountedFile implements TreeFile {
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

/** A name that is left to the kernel: the last part of a path, below a descriptor of the directory it lies in. */
type NamedCall<T> = (place: Buffer) => T;

export class MountedFileSystem implements TreeFiles {
  readonly isReadOnly: boolean;
  /** The mount point. */
  readonly directory: string;
  private readonly system: System;
  private openRoot: number | undefined;

  /** ENOTCONN when nothing is mounted at `directory`; what opening it fails with. The mount is busy until `end`. */
  constructor(system: System, directory: string, isReadOnly: boolean) {
    this.system = system;
    this.directory = directory;
    this.isReadOnly = isReadOnly;
    this.begin();
  }

  /** After `end`, and as the constructor does. */
  begin(): void {
    const root = this.system.open(this.directory, O_PATH | O_DIRECTORY);
    try {
      const { type } = attempt(() => statfsSync(pathOf(root)));
      if (type !== FUSE_SUPER_MAGIC) throw new FsError('ENOTCONN', { note: 'it was unmounted meanwhile' });
      this.openRoot = root;
    } catch (error) {
      closeSync(root);
      if (!(error instanceof FsError)) throw error;
      throw new FsError(error.code, { syscall: 'open', path: this.directory, note: error.note });
    }
  }

  /** Lets go of the mount. Files that are open stay so. */
  end(): void {
    if (this.openRoot !== undefined) closeSync(this.openRoot);
    this.openRoot = undefined;
  }

  private get root(): number {
    if (this.openRoot === undefined) throw new FsError('EBADF');
    return this.openRoot;
  }

  /** Opens what a path names, for a moment, without reading or writing it. */
  private at<T>(path: string, follow: boolean, use: NamedCall<T>): T {
    const flags = O_PATH | (follow ? 0 : O_NOFOLLOW);
    const fd = this.openPlace(path, flags);
    try {
      return attempt(() => use(Buffer.from(pathOf(fd))));
    } finally {
      closeSync(fd);
    }
  }

  private openPlace(path: string, flags: number, mode = 0): number {
    return attempt(() => this.system.openInRoot(this.root, nameToBytes(path), flags, mode));
  }

  /** Names the last part of a path, which is not followed, below a descriptor of its directory. */
  private named<T>(path: string, use: NamedCall<T>): T {
    const trimmed = path.replace(/\/+$/, '');
    const slash = trimmed.lastIndexOf('/');
    const last = trimmed.slice(slash + 1);
    // '..' would be the directory above the descriptor's, outside for the root's.
    const isName = last !== '' && last !== '.' && last !== '..';
    const directory = this.openPlace(
      isName ? trimmed.slice(0, slash + 1) || '/' : path,
      O_PATH | O_DIRECTORY,
    );
    try {
      const place = Buffer.concat([Buffer.from(`${pathOf(directory)}/`), nameToBytes(isName ? last : '.')]);
      return attempt(() => use(place));
    } finally {
      closeSync(directory);
    }
  }

  /** As `named`, for the file that `path` leads to when symlinks are followed. */
  private namedAs<T>(path: string, follow: boolean, use: NamedCall<T>): T {
    return this.named(follow ? this.realPath(path) : path, use);
  }

  // Attributes.

  stat(path: string, follow: boolean): Attributes {
    return this.at(path, follow, (place) => attributesOf(this.system.statHost(place, true)));
  }

  tryStat(path: string, follow: boolean): Attributes | undefined {
    try {
      return this.stat(path, follow);
    } catch (error) {
      if (error instanceof FsError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  statFile(file: TreeFile): Attributes {
    return attempt(() => attributesOf(this.system.statHost(Buffer.from(pathOf(fdOf(file))), true)));
  }

  access(path: string, mode: number): void {
    this.at(path, true, (place) => accessSync(place, mode));
  }

  realPath(path: string): string {
    const root = this.system.readHostLink(Buffer.from(pathOf(this.root)));
    const real = this.at(path, true, (place) => this.system.readHostLink(place)).toString('latin1');
    return real.slice(root.length === 1 ? 0 : root.length) || '/';
  }

  chmod(path: string, mode: number, follow: boolean): void {
    this.at(path, follow, (place) => this.system.chmodHost(place, mode));
  }

  chmodFile(file: TreeFile, mode: number): void {
    attempt(() => fchmodSync(fdOf(file), mode));
  }

  chown(path: string, uid: number, gid: number, follow: boolean): void {
    // The descriptor's own link is followed, to what was opened, and no further.
    this.at(path, follow, (place) => chownSync(place, uid, gid));
  }

  chownFile(file: TreeFile, uid: number, gid: number): void {
    attempt(() => fchownSync(fdOf(file), uid, gid));
  }

  setTimes(path: string, atime: TimeChange, mtime: TimeChange, follow: boolean): void {
    this.namedAs(path, follow, (place) => this.system.setHostTimes(place, timesOf(atime), timesOf(mtime)));
  }

  setFileTimes(file: TreeFile, atime: TimeChange, mtime: TimeChange): void {
    const { atimeSeconds, atimeNanoseconds, mtimeSeconds, mtimeNanoseconds } = this.statFile(file);
    const before = [atimeSeconds + atimeNanoseconds / 1e9, mtimeSeconds + mtimeNanoseconds / 1e9] as const;
    const now = Date.now() / 1000;
    const time = (change: TimeChange, old: number): number =>
      change === 'now' ? now : change === 'omit' ? old : change.seconds + change.nanoseconds / 1e9;
    attempt(() => futimesSync(fdOf(file), time(atime, before[0]), time(mtime, before[1])));
  }

  getXattr(path: string, name: string, follow: boolean): Buffer {
    const value = this.xattrs(path, follow).get(name);
    if (value === undefined) throw new FsError('ENODATA');
    return value;
  }

  setXattr(path: string, name: string, value: Uint8Array, flags: number, follow: boolean): void {
    if (flags !== 0) throw new FsError('ENOTSUP');
    this.namedAs(path, follow, (place) => this.system.writeHostXattr(place, name, value));
  }

  listXattrs(path: string, follow: boolean): string[] {
    return [...this.xattrs(path, follow).keys()];
  }

  private xattrs(path: string, follow: boolean): Map<string, Buffer> {
    return this.namedAs(path, follow, (place) => this.system.readHostXattrs(place));
  }

  // Open files.

  open(path: string, flags: number, mode: number): MountedFile {
    const fd = this.openPlace(path, flags | O_NONBLOCK, mode);
    const type = attempt(() => fstatSync(fd)).mode & S_IFMT;
    if (type === S_IFREG || type === S_IFDIR) return new MountedFile(fd, flags, path);
    closeSync(fd);
    throw new FsError('ENXIO', { note: 'devices, fifos and sockets are for programs in the mount' });
  }

  close(file: TreeFile): void {
    const open = mounted(file);
    open.isOpen = false;
    closeSync(open.fd);
  }

  read(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number | null): number {
    const at = position ?? file.position;
    const count = attempt(() => this.system.pread(fdOf(file), target, offset, length, at));
    if (position === null) file.position += count;
    return count;
  }

  /** The thread that waits is this one, whichever call it makes: the pages are another process's to bring. */
  tryRead(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.read(file, target, offset, length, position);
  }

  write(file: TreeFile, source: Uint8Array, offset: number, length: number, position: number | null): number {
    const at = position ?? file.position;
    const count = attempt(() => writeSync(fdOf(file), source, offset, length, at));
    if (position === null) file.position = mounted(file).isAppending ? this.statFile(file).size : at + count;
    return count;
  }

  truncateFile(file: TreeFile, size: number): void {
    attempt(() => ftruncateSync(fdOf(file), size));
  }

  seekData(file: TreeFile, position: number): number {
    return attempt(() => orEnd(this.system.seekData(fdOf(file), position)));
  }

  seekHole(file: TreeFile, position: number): number {
    return attempt(() => orEnd(this.system.seekHole(fdOf(file), position)));
  }

  sync(file: TreeFile, dataOnly: boolean): void {
    attempt(() => (dataOnly ? this.system.dataSync(fdOf(file)) : this.system.fullSync(fdOf(file))));
  }

  /**
   * copy_file_range(2), which the owner answers by sharing blocks. EXDEV between two mounts: it never sees that one.
   */
  reflink(source: TreeFile, target: TreeFile, from: TreeFiles = this): void {
    if (from !== this) throw new FsError('EXDEV');
    const { mode } = this.statFile(target);
    attempt(() => copyFileSync(pathOf(fdOf(source)), pathOf(fdOf(target))));
    // It has set the mode of the source.
    this.chmodFile(target, mode & 0o7777);
  }

  // Names.

  makeDirectory(path: string, mode: number): void {
    this.named(path, (place) => this.system.makeHostDirectory(place, mode));
  }

  removeDirectory(path: string): void {
    this.named(path, (place) => rmdirSync(place));
  }

  unlink(path: string): void {
    this.named(path, (place) => unlinkSync(place));
  }

  rename(from: string, to: string): void {
    this.named(from, (old) => this.named(to, (place) => renameSync(old, place)));
  }

  link(existing: string, path: string, followExisting: boolean): void {
    this.namedAs(existing, followExisting, (old) =>
      this.named(path, (place) => this.system.linkHost(old, place)),
    );
  }

  symlink(target: string, path: string): void {
    this.named(path, (place) => this.system.symlinkHost(nameToBytes(target), place));
  }

  readLink(path: string): string {
    return this.named(path, (place) => this.system.readHostLink(place)).toString('latin1');
  }

  makeNode(path: string, mode: number, rdev: number): void {
    this.named(path, (place) => this.system.makeHostNode(place, mode, rdev));
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
    const entries = attempt(() => this.system.readHostDirectory(Buffer.from(pathOf(fdOf(file)))));
    // The cast: a name that the kernel gives is one.
    return entries.map(({ name, ino, kind }) => ({ name: name as Name, ino: Number(ino), kind }));
  }

  readDirectoryNames(path: string): Name[] {
    return this.readDirectory(path).map(({ name }) => name);
  }
}

/** The descriptor's own link, which leads to what was opened, whatever it is called by now. */
function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

function mounted(file: TreeFile): MountedFile {
  if (!(file instanceof MountedFile) || !file.isOpen) throw new FsError('EBADF');
  return file;
}

function fdOf(file: TreeFile): number {
  return mounted(file).fd;
}

/** Runs a call, which fails as those of `FileSystem` do: with a code alone, to which the caller adds the path. */
function attempt<T>(call: () => T): T {
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

function timesOf(change: TimeChange): Timespec {
  if (change === 'now') return UTIME_NOW;
  return change === 'omit' ? UTIME_OMIT : change;
}

function attributesOf(stat: HostStat): Attributes {
  const { dev, ino, mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, btime = ctime } = stat;
  return {
    dev,
    // Numbers of a store's inodes are below 2^53.
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
