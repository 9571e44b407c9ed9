/** The source and the target of `ramet cp`: files of a tree, or of the host. Errors name the path. */
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
  dataOf,
  HostFiles,
  namedWearer,
  targetOf,
  type Wearer,
  wearerAt,
} from '../files/index.ts';
import { MountedFileSystem, type MountedTrees } from '../owner/index.ts';
import {
  type HostStat,
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

/** One end of a copy. Paths are byte strings. */
export class CopyEnd<Files extends TreeFiles = TreeFiles> {
  readonly files: Files;
  /** Returns a path in the form that messages show. */
  readonly show: (path: string) => string;

  constructor(files: Files, show: (path: string) => string) {
    this.files = files;
    this.show = show;
  }

  /** Makes a call on the files; its error names the call and the path. */
  on<T>(syscall: string, path: string, call: (files: Files) => T): T {
    return at({ syscall, path: this.show(path) }, () => call(this.files));
  }

  stat(path: string, follow: boolean): Attributes | undefined {
    return this.on('stat', path, (files) => files.tryStat(path, follow));
  }

  names(path: string): string[] {
    return this.on('scandir', path, (files) => files.readDirectoryNames(path).sort());
  }

  /** Runs `use` with an open file, which is closed afterwards. */
  async opened<T>(path: string, flags: number, use: (file: TreeFile) => T | Promise<T>): Promise<T> {
    const file = this.on('open', path, (files) => files.open(path, flags, 0o666));
    try {
      return await use(file);
    } finally {
      this.files.close(file);
    }
  }

  source(path: string, file: TreeFile, size: number): DataSource {
    return dataOf(this.files, file, size, (syscall, call) => this.on(syscall, path, call));
  }

  target(path: string, file: TreeFile): DataTarget {
    return targetOf(this.files, file, (syscall, call) => this.on(syscall, path, call));
  }

  /** Lets `use` set the attributes of a new file of this mode. `open` is the file, if it is open for writing. */
  dressing(path: string, _mode: number, _open: TreeFile | undefined, use: (wearer: Wearer) => void): void {
    use(this.naming(path, wearerAt(this.files, path)));
  }

  protected naming(path: string, wearer: Wearer): Wearer {
    return namedWearer(wearer, (syscall, call) => this.on(syscall, path, call));
  }
}

/** A path from the command line that realpath(3) cannot resolve. */
interface Unresolved {
  readonly path: string;
  /** The code of errors about the path, instead of the ELOOP of the path walk. */
  readonly code: ErrorCode;
  /** Attributes of a file to which the path leads, but which has no name, such as a pipe at /dev/stdin. */
  readonly found: Attributes | undefined;
}

/**
 * Files of the host, below its root. Symlinks inside a path are followed only if the path is from the command line
 * (`HostCopies.place`).
 */
export class HostEnd extends CopyEnd<HostFiles> {
  private readonly unresolved: Unresolved | undefined;

  constructor(files: HostFiles, show: (path: string) => string, unresolved?: Unresolved) {
    super(files, show);
    this.unresolved = unresolved;
  }

  override on<T>(syscall: string, path: string, call: (files: HostFiles) => T): T {
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
    return orUndefined(() => this.on('statx', path, (files) => files.stat(path, follow)), 'ENOENT');
  }

  /** Errors name the call that failed, usually the open. */
  override names(path: string): string[] {
    return this.files.namesIn(path, (syscall, call) => this.on(syscall, path, call)).sort();
  }

  override dressing(
    path: string,
    mode: number,
    open: TreeFile | undefined,
    use: (wearer: Wearer) => void,
  ): void {
    if (open !== undefined) use(this.naming(path, this.files.dressingFile(open)));
    else
      this.on('open', path, (files) =>
        files.dressing(path, mode, (wearer) => use(this.naming(path, wearer))),
      );
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
   * Makes `path` a file that shares the blocks of a file of another end. Returns false if blocks cannot be shared, such
   * as those that a fork has not frozen yet; the file at `path` is then empty or untouched.
   */
  async shareFrom(source: TreeEnd, sourcePath: string, path: string, isNew: boolean): Promise<boolean> {
    const isOpenHere = source.files instanceof FileSystem && this.files instanceof FileSystem;
    if (isOpenHere || source.files === this.files) return this.reflinkFrom(source, sourcePath, path);
    // The owner process can share blocks only with a new file, which nobody has open.
    if (!(isNew && this.files instanceof MountedFileSystem)) return false;
    try {
      return await this.mounted.clone(source.name, sourcePath, this.files, path);
    } catch (error) {
      throw errorAt({ syscall: 'clone', path: this.show(path) }, error);
    }
  }

  private async reflinkFrom(source: TreeEnd, sourcePath: string, path: string): Promise<boolean> {
    return await source.opened(sourcePath, O_RDONLY, (from) =>
      this.opened(path, O_WRONLY | O_CREAT | O_TRUNC, (to) => {
        try {
          this.on('ficlone', path, (files) => files.reflink(from, to, source.files));
          return true;
        } catch (error) {
          if (isFsError(error, 'EXDEV')) return false;
          throw error;
        }
      }),
    );
  }
}

/** Access to the host's files for one command. */
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
   * The end and the real path of a path from the command line; messages show the path as it was given. Symlinks before
   * the last part of the path are followed. A symlink in the last part is followed if `follows` returns true; `follows`
   * is told whether the path leads to a directory.
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
    const status = (): HostStat => this.system.statHost(nameToBytes(named), true);
    const found = code !== undefined && leads ? orUndefined(status) : undefined;
    const unresolved = code && {
      path: real,
      code: found === undefined ? code : 'ELOOP',
      found: found && attributesOf(found),
    };
    return { end: new HostEnd(this.files, show, unresolved), path: real };
  }

  private isDirectory(real: string): boolean {
    const fd = orUndefined(() => this.files.openPath(real, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (fd !== undefined) this.system.close(fd);
    return fd !== undefined;
  }
}

/** The result of realpath(3); if that fails, the path as given and the error's code. Names need not be UTF-8. */
function realPath(place: string): { readonly real: string; readonly code?: ErrorCode } {
  try {
    const real = attempt(() => realpathSync.native(nameToBytes(place), 'buffer'));
    return { real: real.toString('latin1') };
  } catch (error) {
    if (isFsError(error)) return { real: place, code: error.code };
    throw error;
  }
}

/** The call's result; undefined if the call fails with `code`, or with any code if none is given. */
function orUndefined<T>(call: () => T, code?: ErrorCode): T | undefined {
  try {
    return call();
  } catch (error) {
    if (isFsError(error, code)) return undefined;
    throw error;
  }
}
