/** The places between which `ramet cp` copies: the files of an open tree, or of the host. Errors name the path. */
import { realpathSync } from 'node:fs';
import path from 'node:path';
import {
  at,
  type ErrorCode,
  errorAt,
  FsError,
  isFsError,
  nameFromString,
  nameToBytes,
  nameToString,
} from '../base/index.ts';
import {
  attempt,
  attributesOf,
  type DataSource,
  type DataTarget,
  HostFiles,
  namedWearer,
  segmentsOf,
  type Wearer,
  wearerAt,
  xattrsOf,
} from '../files/index.ts';
import { MountedFileSystem, type MountedTrees } from '../owner/index.ts';
import {
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  type System,
} from '../sys/index.ts';
import { type Attributes, FileSystem, type TreeFile, type TreeFiles } from '../vfs/index.ts';
import { baseName, joinPath, showTreePath } from './tree-path.ts';

/** A file open for reading. */
export interface CopySource extends DataSource {
  close(): void;
}

/** A file open for writing, empty at first. */
export interface CopyTarget extends DataTarget {
  readonly file: TreeFile;
  close(): void;
}

/** Paths are byte strings. */
export class CopyEnd<Files extends TreeFiles = TreeFiles> {
  readonly files: Files;
  /** The path for messages. */
  readonly show: (path: string) => string;

  constructor(files: Files, show: (path: string) => string) {
    this.files = files;
    this.show = show;
  }

  protected on<T>(syscall: string, path: string, call: () => T): T {
    return at({ syscall, path: this.show(path) }, call);
  }

  stat(path: string, follow: boolean): Attributes | undefined {
    return this.on('stat', path, () => this.files.tryStat(path, follow));
  }

  /** Absolute, without symlinks. ENOENT. */
  realPath(path: string): string {
    return this.on('realpath', path, () => this.files.realPath(path));
  }

  names(path: string): string[] {
    return this.on('scandir', path, () =>
      this.files.readDirectoryNames(path).sort((a, b) => (a < b ? -1 : 1)),
    );
  }

  readLink(path: string): string {
    return this.on('readlink', path, () => this.files.readLink(path));
  }

  open(path: string, flags: number): TreeFile {
    return this.on('open', path, () => this.files.open(path, flags, 0o666));
  }

  openSource(path: string, size: number): CopySource {
    const { files } = this;
    const file = this.open(path, O_RDONLY);
    const close = (): void => files.close(file);
    return {
      segments: orClose(close, () => this.on('lseek', path, () => segmentsOf(files, file, size))),
      read: (target, length, position) =>
        this.on('read', path, () => files.read(file, target, 0, length, position)),
      close,
    };
  }

  openTarget(path: string): CopyTarget {
    const { files } = this;
    const file = this.open(path, O_WRONLY | O_CREAT | O_TRUNC);
    return {
      file,
      write: (bytes, length, position) =>
        this.on('write', path, () => writeWhole(files, file, bytes, length, position)),
      setSize: (size) => this.on('ftruncate', path, () => files.truncateFile(file, size)),
      close: () => files.close(file),
    };
  }

  makeDirectory(path: string): void {
    this.on('mkdir', path, () => this.files.makeDirectory(path, 0o777));
  }

  symlink(target: string, path: string): void {
    this.on('symlink', path, () => this.files.symlink(target, path));
  }

  makeNode(path: string, mode: number, rdev: number): void {
    this.on('mknod', path, () => this.files.makeNode(path, mode, rdev));
  }

  unlink(path: string): void {
    this.on('unlink', path, () => this.files.unlink(path));
  }

  xattrs(path: string): readonly (readonly [name: string, value: Buffer])[] {
    return this.on('llistxattr', path, () => [...xattrsOf(this.files, path)]);
  }

  /** Sets attributes of what was made at a path, of this mode; where it is open for writing, of `open`. */
  dressing(path: string, _mode: number, _open: TreeFile | undefined, use: (wearer: Wearer) => void): void {
    use(this.naming(path, wearerAt(this.files, path)));
  }

  protected naming(path: string, wearer: Wearer): Wearer {
    return namedWearer(wearer, (syscall, call) => this.on(syscall, path, call));
  }
}

/** A path of the command line that has no real path. */
interface Unresolved {
  readonly path: string;
  /** Why, instead of the ELOOP that stops a walk along it. */
  readonly code: ErrorCode;
  /** What is there all the same: an open file without a name, as a pipe at /dev/stdin. */
  readonly found: Attributes | undefined;
}

/**
 * Files of the host, below its root. A symlink on the way is followed in what was named on the command line
 * (`HostCopies.place`), and nowhere else.
 */
export class HostEnd extends CopyEnd<HostFiles> {
  private readonly unresolved: Unresolved | undefined;

  constructor(files: HostFiles, show: (path: string) => string, unresolved?: Unresolved) {
    super(files, show);
    this.unresolved = unresolved;
  }

  protected override on<T>(syscall: string, path: string, call: () => T): T {
    try {
      return super.on(syscall, path, call);
    } catch (error) {
      if (!isFsError(error, 'ELOOP') || error.note !== undefined) throw error;
      if (this.unresolved !== undefined)
        throw new FsError(this.unresolved.code, { syscall: error.syscall, path: error.path });
      const note = 'a symlink is there, and may lead anywhere: name what it leads to';
      throw new FsError('ELOOP', { syscall: error.syscall, path: error.path, note });
    }
  }

  override stat(path: string, follow: boolean): Attributes | undefined {
    const found = follow && path === this.unresolved?.path ? this.unresolved.found : undefined;
    if (found !== undefined) return found;
    try {
      return this.on('statx', path, () => this.files.stat(path, follow));
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  override names(path: string): string[] {
    return this.files
      .namesIn(path, (syscall, call) => this.on(syscall, path, call))
      .sort((a, b) => (a < b ? -1 : 1));
  }

  override dressing(
    path: string,
    mode: number,
    open: TreeFile | undefined,
    use: (wearer: Wearer) => void,
  ): void {
    const { files } = this;
    if (open !== undefined) use(this.naming(path, files.dressingFile(open)));
    else this.on('open', path, () => files.dressing(path, mode, (wearer) => use(this.naming(path, wearer))));
  }
}

export class TreeEnd extends CopyEnd {
  readonly name: string;
  private readonly mounted: MountedTrees;

  constructor(name: string, files: TreeFiles, mounted: MountedTrees) {
    super(files, (path) => showTreePath(name, path));
    this.name = name;
    this.mounted = mounted;
  }

  /**
   * Makes `path` a file that shares the blocks of a file of another end. False, and the file is empty or was not
   * touched, where blocks cannot be shared: those a fork has not frozen yet are its own.
   */
  async shareFrom(source: TreeEnd, sourcePath: string, path: string, isNew: boolean): Promise<boolean> {
    const isOpenHere = source.files instanceof FileSystem && this.files instanceof FileSystem;
    if (isOpenHere || source.files === this.files) return this.reflinkFrom(source, sourcePath, path);
    // The owner can, for a file that nobody has open.
    if (!(isNew && this.files instanceof MountedFileSystem)) return false;
    try {
      return await this.mounted.clone(source.name, sourcePath, this.files, path);
    } catch (error) {
      throw errorAt({ syscall: 'clone', path: this.show(path) }, error);
    }
  }

  private reflinkFrom(source: TreeEnd, sourcePath: string, path: string): boolean {
    const from = source.open(sourcePath, O_RDONLY);
    try {
      const to = this.open(path, O_WRONLY | O_CREAT | O_TRUNC);
      try {
        this.on('ficlone', path, () => this.files.reflink(from, to, source.files));
        return true;
      } catch (error) {
        if (isFsError(error, 'EXDEV')) return false;
        throw error;
      } finally {
        this.files.close(to);
      }
    } finally {
      source.files.close(from);
    }
  }
}

/** The host's files, for one command; `close` gives back what it holds open. */
export class HostCopies {
  readonly files: HostFiles;
  private readonly system: System;
  private readonly root: number;

  constructor(system: System) {
    this.system = system;
    this.root = system.open('/', O_PATH | O_DIRECTORY);
    this.files = new HostFiles(system, '/', this.root, { keepsDirectories: true });
  }

  close(): void {
    this.files.end();
    this.system.close(this.root);
  }

  /**
   * A path of the command line, and its end, which shows it as it was given. Symlinks are followed on the way, and at
   * the end where `follows` says so of what it leads to.
   */
  place(
    given: string,
    follows: (isDirectory: boolean) => boolean,
  ): { readonly end: HostEnd; readonly path: string } {
    const shown = path.resolve(given);
    const named = nameFromString(shown);
    const above = realPath(path.dirname(named));
    const led = realPath(named);
    const leads = follows(led.code === undefined && this.isDirectory(led.real));
    const real = leads && led.code === undefined ? led.real : joinPath(above.real, baseName(named));
    const show = (at: string): string =>
      at === real || at.startsWith(`${real}/`)
        ? shown + nameToString(at.slice(real.length))
        : nameToString(at);
    const code = above.code ?? (leads ? led.code : undefined);
    const found = code !== undefined && leads ? this.follow(named) : undefined;
    const unresolved = code && { path: real, code: found === undefined ? code : 'ELOOP', found };
    return { end: new HostEnd(this.files, show, unresolved), path: real };
  }

  private isDirectory(real: string): boolean {
    try {
      this.system.close(this.files.openPath(real, O_PATH | O_DIRECTORY | O_NOFOLLOW));
      return true;
    } catch (error) {
      if (isFsError(error)) return false;
      throw error;
    }
  }

  private follow(named: string): Attributes | undefined {
    try {
      return attributesOf(this.system.statHost(nameToBytes(named), true));
    } catch (error) {
      if (isFsError(error)) return undefined;
      throw error;
    }
  }
}

/** The path itself, and why, where it has none. Names need not be UTF-8. */
function realPath(place: string): { readonly real: string; readonly code?: ErrorCode } {
  try {
    const real = attempt(() => realpathSync.native(nameToBytes(place), 'buffer'));
    return { real: real.toString('latin1') };
  } catch (error) {
    if (isFsError(error)) return { real: place, code: error.code };
    throw error;
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

/** Where there is room for a part only, the call for the rest fails. */
function writeWhole(files: TreeFiles, file: TreeFile, bytes: Buffer, length: number, position: number): void {
  for (let done = 0; done < length; ) done += files.write(file, bytes, done, length - done, position + done);
}
