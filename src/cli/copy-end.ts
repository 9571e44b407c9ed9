/** The two places between which `ramet cp` copies, as one interface: the host, and an open tree. */
import { realpathSync } from 'node:fs';
import { BLOCK_SIZE, FsError, type HostIno, isFsError, nameToBytes, nameToString } from '../base/index.ts';
import { type DataSource, segmentsOf } from '../files/index.ts';
import { MountedFileSystem, type MountedTrees } from '../owner/index.ts';
import { O_CREAT, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY, type System } from '../sys/index.ts';
import { fileSegments, onHost } from '../transfer/index.ts';
import { FileSystem, type TreeFile, type TreeFiles } from '../vfs/index.ts';
import { named, naming } from './problem.ts';
import { showTreePath } from './tree-path.ts';

/** What a copy keeps of a file beside its content. */
export interface CopyStat {
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly dev: number;
  readonly ino: HostIno;
  readonly atime: { readonly seconds: number; readonly nanoseconds: number };
  readonly mtime: { readonly seconds: number; readonly nanoseconds: number };
}

/** A file open for reading. */
export interface CopySource extends DataSource {
  close(): void;
}

/** A file open for writing, empty at first. */
export interface CopyTarget {
  write(bytes: Buffer, length: number, position: number): void;
  /** Sets the size, for a hole at the end. */
  setSize(size: number): void;
  close(): void;
}

/** Paths are byte strings. Errors name the path. */
export interface CopyEnd {
  /** The path for messages. */
  show(path: string): string;
  stat(path: string, follow: boolean): CopyStat | undefined;
  /** Absolute, without symlinks. ENOENT. */
  realPath(path: string): string;
  names(path: string): string[];
  readLink(path: string): string;
  openSource(path: string, size: number): CopySource;
  openTarget(path: string): CopyTarget;
  makeDirectory(path: string): void;
  symlink(target: string, path: string): void;
  makeNode(path: string, mode: number, rdev: number): void;
  unlink(path: string): void;
  setMode(path: string, mode: number): void;
  setOwner(path: string, uid: number, gid: number): void;
  setTimes(path: string, stat: CopyStat): void;
  xattrs(path: string): ReadonlyMap<string, Buffer>;
  setXattr(path: string, name: string, value: Buffer): void;
}

export class HostEnd implements CopyEnd {
  private readonly system: System;

  constructor(system: System) {
    this.system = system;
  }

  show(path: string): string {
    return nameToString(path);
  }

  private on<T>(syscall: string, path: string, call: (bytes: Buffer) => T): T {
    const bytes = nameToBytes(path);
    return onHost(syscall, bytes, () => call(bytes));
  }

  stat(path: string, follow: boolean): CopyStat | undefined {
    try {
      return this.on('stat', path, (bytes) => this.system.statHost(bytes, follow));
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  realPath(path: string): string {
    return this.on('realpath', path, (bytes) => realpathSync(bytes, 'buffer').toString('latin1'));
  }

  names(path: string): string[] {
    return this.on('scandir', path, (bytes) => this.system.readHostDirectory(bytes))
      .map((entry) => entry.name)
      .sort((a, b) => (a < b ? -1 : 1));
  }

  readLink(path: string): string {
    return this.on('readlink', path, (bytes) => this.system.readHostLink(bytes)).toString('latin1');
  }

  openSource(path: string, size: number): CopySource {
    const { system } = this;
    const fd = this.on('open', path, (bytes) => system.openHost(bytes, O_RDONLY | O_NONBLOCK));
    const close = (): void => system.close(fd);
    return {
      segments: orClose(close, () => this.on('lseek', path, () => fileSegments(system, fd, size))),
      read: (target, length, position) =>
        this.on('read', path, () => system.pread(fd, target, 0, length, position)),
      close,
    };
  }

  openTarget(path: string): CopyTarget {
    const { system } = this;
    const fd = this.on('open', path, (bytes) => system.openHost(bytes, O_WRONLY | O_CREAT | O_TRUNC, 0o666));
    return {
      write: (bytes, length, position) =>
        this.on('write', path, () => system.pwrite(fd, bytes, 0, length, position)),
      setSize: (size) => this.on('ftruncate', path, () => system.truncate(fd, size)),
      close: () => system.close(fd),
    };
  }

  makeDirectory(path: string): void {
    this.on('mkdir', path, (bytes) => this.system.makeHostDirectory(bytes, 0o777));
  }

  symlink(target: string, path: string): void {
    this.on('symlink', path, (bytes) => this.system.symlinkHost(nameToBytes(target), bytes));
  }

  makeNode(path: string, mode: number, rdev: number): void {
    this.on('mknod', path, (bytes) => this.system.makeHostNode(bytes, mode, rdev));
  }

  unlink(path: string): void {
    this.on('unlink', path, () => this.system.unlink(nameToString(path)));
  }

  setMode(path: string, mode: number): void {
    this.on('chmod', path, (bytes) => this.system.chmodHost(bytes, mode));
  }

  setOwner(path: string, uid: number, gid: number): void {
    this.on('lchown', path, (bytes) => this.system.chownHost(bytes, uid, gid));
  }

  setTimes(path: string, stat: CopyStat): void {
    this.on('utimensat', path, (bytes) => this.system.setHostTimes(bytes, stat.atime, stat.mtime));
  }

  xattrs(path: string): ReadonlyMap<string, Buffer> {
    return this.on('llistxattr', path, (bytes) => this.system.readHostXattrs(bytes));
  }

  setXattr(path: string, name: string, value: Buffer): void {
    this.on('lsetxattr', path, (bytes) => this.system.writeHostXattr(bytes, name, value));
  }
}

export class TreeEnd implements CopyEnd {
  readonly fileSystem: TreeFiles;
  readonly name: string;
  private readonly mounted: MountedTrees;

  constructor(name: string, fileSystem: TreeFiles, mounted: MountedTrees) {
    this.name = name;
    this.fileSystem = fileSystem;
    this.mounted = mounted;
  }

  show(path: string): string {
    return showTreePath(this.name, path);
  }

  private on<T>(syscall: string, path: string, call: () => T): T {
    return naming(syscall, this.show(path), call);
  }

  stat(path: string, follow: boolean): CopyStat | undefined {
    const found = this.on('stat', path, () => this.fileSystem.tryStat(path, follow));
    if (found === undefined) return undefined;
    const { mode, size, uid, gid, rdev, dev, ino } = found;
    return {
      mode,
      size,
      uid,
      gid,
      rdev,
      dev,
      ino,
      atime: { seconds: found.atimeSeconds, nanoseconds: found.atimeNanoseconds },
      mtime: { seconds: found.mtimeSeconds, nanoseconds: found.mtimeNanoseconds },
    };
  }

  realPath(path: string): string {
    return this.on('realpath', path, () => this.fileSystem.realPath(path));
  }

  names(path: string): string[] {
    return this.on('scandir', path, () =>
      this.fileSystem.readDirectoryNames(path).sort((a, b) => (a < b ? -1 : 1)),
    );
  }

  readLink(path: string): string {
    return this.on('readlink', path, () => this.fileSystem.readLink(path));
  }

  openSource(path: string, size: number): CopySource {
    const { fileSystem } = this;
    const file = this.open(path, O_RDONLY);
    const close = (): void => fileSystem.close(file);
    return {
      segments: orClose(close, () => this.on('lseek', path, () => segmentsOf(fileSystem, file, size))),
      read: (target, length, position) =>
        this.on('read', path, () => fileSystem.read(file, target, 0, length, position)),
      close,
    };
  }

  open(path: string, flags: number): TreeFile {
    return this.on('open', path, () => this.fileSystem.open(path, flags, 0o666));
  }

  openTarget(path: string): CopyTarget {
    const { fileSystem } = this;
    const file = this.open(path, O_WRONLY | O_CREAT | O_TRUNC);
    return {
      write: (bytes, length, position) =>
        void this.on('write', path, () => fileSystem.write(file, bytes, 0, length, position)),
      setSize: (size) => this.on('ftruncate', path, () => fileSystem.truncateFile(file, size)),
      close: () => fileSystem.close(file),
    };
  }

  /**
   * Makes `path` a file that shares the blocks of a file of another end. False, and the file is empty or was not
   * touched, where blocks cannot be shared: those a fork has not frozen yet are its own.
   */
  async shareFrom(source: TreeEnd, sourcePath: string, path: string, isNew: boolean): Promise<boolean> {
    const isOpenHere = source.fileSystem instanceof FileSystem && this.fileSystem instanceof FileSystem;
    if (isOpenHere || source.fileSystem === this.fileSystem)
      return this.reflinkFrom(source, sourcePath, path);
    // The owner can, for a file that nobody has open.
    if (!(isNew && this.fileSystem instanceof MountedFileSystem)) return false;
    try {
      return await this.mounted.clone(source.name, sourcePath, this.fileSystem, path);
    } catch (error) {
      throw named('clone', this.show(path), error);
    }
  }

  private reflinkFrom(source: TreeEnd, sourcePath: string, path: string): boolean {
    const from = source.open(sourcePath, O_RDONLY);
    try {
      const to = this.open(path, O_WRONLY | O_CREAT | O_TRUNC);
      try {
        this.on('ficlone', path, () => this.fileSystem.reflink(from, to, source.fileSystem));
        return true;
      } catch (error) {
        if (isFsError(error, 'EXDEV')) return false;
        throw error;
      } finally {
        this.fileSystem.close(to);
      }
    } finally {
      source.fileSystem.close(from);
    }
  }

  makeDirectory(path: string): void {
    this.on('mkdir', path, () => this.fileSystem.makeDirectory(path, 0o777));
  }

  symlink(target: string, path: string): void {
    this.on('symlink', path, () => this.fileSystem.symlink(target, path));
  }

  makeNode(path: string, mode: number, rdev: number): void {
    this.on('mknod', path, () => this.fileSystem.makeNode(path, mode, rdev));
  }

  unlink(path: string): void {
    this.on('unlink', path, () => this.fileSystem.unlink(path));
  }

  setMode(path: string, mode: number): void {
    this.on('chmod', path, () => this.fileSystem.chmod(path, mode, true));
  }

  setOwner(path: string, uid: number, gid: number): void {
    this.on('lchown', path, () => this.fileSystem.chown(path, uid, gid, false));
  }

  setTimes(path: string, stat: CopyStat): void {
    this.on('utimensat', path, () => this.fileSystem.setTimes(path, stat.atime, stat.mtime, false));
  }

  xattrs(path: string): ReadonlyMap<string, Buffer> {
    return this.on(
      'llistxattr',
      path,
      () =>
        new Map(
          this.fileSystem
            .listXattrs(path, false)
            .map((name) => [name, this.fileSystem.getXattr(path, name, false)]),
        ),
    );
  }

  setXattr(path: string, name: string, value: Buffer): void {
    this.on('lsetxattr', path, () => this.fileSystem.setXattr(path, name, value, 0, false));
  }
}

function orClose<T>(close: () => void, call: () => T): T {
  try {
    return call();
  } catch (error) {
    close();
    throw error;
  }
}

const PIECE = Buffer.allocUnsafe(256 * BLOCK_SIZE);

/** Copies the bytes of a file, holes as holes. EIO when the source became shorter meanwhile. */
export function copyContent(source: CopySource, target: CopyTarget, size: number, shown: string): void {
  // The size goes first where there are holes: XFS fills a hole that a file grows over with preallocated blocks.
  const dataBytes = source.segments.reduce((sum, { start, end }) => sum + end - start, 0);
  if (dataBytes < size) target.setSize(size);
  for (const { start, end } of source.segments) {
    for (let position = start; position < end; position += PIECE.length) {
      const length = Math.min(PIECE.length, end - position);
      if (source.read(PIECE, length, position) < length) {
        throw new FsError('EIO', {
          syscall: 'read',
          path: shown,
          note: 'the file became shorter while it was copied',
        });
      }
      target.write(PIECE, length, position);
    }
  }
}
