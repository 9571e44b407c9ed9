/**
 * A tree of files on the host: everything below one directory. A symlink inside a path is refused (ELOOP), so that no
 * call reaches anything outside the directory, even if something is renamed meanwhile.
 */
import {
  errorAt,
  FsError,
  isDirectoryMode,
  isFileMode,
  isFsError,
  type Name,
  nameToBytes,
  nameToString,
  S_IFMT,
} from '../base/index.ts';
import {
  type HostStat,
  O_ACCMODE,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_TRUNC,
  type System,
} from '../sys/index.ts';
import type { Attributes, TreeFile, TreeFiles } from '../vfs/index.ts';
import type { Naming } from './content.ts';
import { attempt, attributesOf, DescriptorFiles, type NamedCall, onFile } from './descriptor-files.ts';
import type { Wearer } from './dress.ts';
import { OpenDirectories } from './open-directories.ts';

const HERE = Buffer.from('.');
const S_IWOTH = 0o002;
/** How many directories stay open: enough for all directories in the paths of most files. */
const DIRECTORIES_MAX = 64;

export class HostFiles extends DescriptorFiles {
  private readonly keepsDirectories: boolean;
  private readonly directories: OpenDirectories;

  /**
   * `root` is the open directory, which the caller closes; `directory` is its path, for messages. With
   * `keepsDirectories` directories stay open, for work on many files; if one is moved meanwhile, the work continues in
   * it.
   */
  constructor(system: System, directory: string, root: number, { keepsDirectories = false } = {}) {
    super(system, directory, false);
    this.keepsDirectories = keepsDirectories;
    this.directories = new OpenDirectories(system, root, DIRECTORIES_MAX);
  }

  /** Closes the directories that stayed open. */
  end(): void {
    this.directories.forget();
  }

  /** The path on the host, for messages. */
  shown(path: string): string {
    if (path === '/') return this.directory;
    return (this.directory === '/' ? '' : this.directory) + nameToString(path);
  }

  /** Makes a call, and adds its name and the host's path to an error without a path. */
  naming<T>(syscall: string, path: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw errorAt({ syscall, path: this.shown(path) }, error);
    }
  }

  openPath(path: string, flags: number, mode?: number): number {
    return this.named(path, (directory, name) => {
      const fd = this.system.openAt(directory, name, flags & ~O_TRUNC, mode);
      if ((flags & O_TRUNC) !== 0) this.emptied(fd, directory);
      return fd;
    });
  }

  /**
   * Truncates a regular file that was just opened in a directory; if that fails, closes it. EPERM for a file that
   * another user may have hard-linked there: without fs.protected_hardlinks, link(2) needs no rights to the file.
   */
  private emptied(fd: number, directory: number): void {
    const { system } = this;
    try {
      const [file, above] = [system.statFile(fd), system.statFile(directory)];
      if (!isFileMode(file.mode)) return;
      if (file.nlink > 1 && (file.uid !== above.uid || (above.mode & S_IWOTH) !== 0)) {
        const note = 'it has other names, and another user may have linked it here: remove it first';
        throw new FsError('EPERM', { note });
      }
      system.truncate(fd, 0);
    } catch (error) {
      system.close(fd);
      throw error;
    }
  }

  protected named<T>(path: string, use: NamedCall<T>): T {
    const slash = path.lastIndexOf('/');
    const name = slash === path.length - 1 ? HERE : nameToBytes(path.slice(slash + 1));
    try {
      return attempt(() => use(this.directories.get(path.slice(0, slash)), name));
    } finally {
      if (!this.keepsDirectories) this.directories.forget();
    }
  }

  /**
   * Refuses devices, fifos and sockets only for reading: other programs on the host may write to devices, so this one
   * may too.
   */
  protected override refusesNodes(flags: number): boolean {
    return (flags & O_ACCMODE) === O_RDONLY;
  }

  /** Returns the path itself, because no symlink in it is ever followed. Fails if nothing is there. */
  realPath(path: string): string {
    this.hostStat(path);
    return path;
  }

  /** The names in a directory. `naming` adds to an error the call that failed. */
  namesIn(path: string, naming: Naming = (syscall, call) => this.naming(syscall, path, call)): Name[] {
    const file = naming('open', () => this.open(path, O_RDONLY | O_DIRECTORY, 0));
    try {
      return naming('scandir', () => this.openDirectoryEntries(file)).map(({ name }) => name);
    } finally {
      this.close(file);
    }
  }

  /** Everything that the host's statx(2) returns; does not follow a symlink. */
  hostStat(path: string): HostStat {
    return this.named(path, (directory, name) => this.system.lstatAt(directory, name));
  }

  override stat(path: string, follow: boolean): Attributes {
    return follow ? super.stat(path, true) : attributesOf(this.hostStat(path));
  }

  /**
   * Without /proc there is no link to an open descriptor, so this method reads extended attributes by path. ESTALE if
   * another file took the place of the file meanwhile.
   */
  override xattrs(path: string, follow: boolean): Map<string, Buffer> {
    try {
      return super.xattrs(path, follow);
    } catch (error) {
      if (follow || !isFsError(error, 'ENOTSUP')) throw error;
      const at = Buffer.concat([Buffer.from(this.directory), nameToBytes(path)]);
      const wanted = this.hostStat(path);
      const xattrs = attempt(() => this.system.readHostXattrs(at));
      const found = attempt(() => this.system.statHost(at, false));
      if (found.ino === wanted.ino && found.dev === wanted.dev) return xattrs;
      throw new FsError('ESTALE', { note: 'another file has taken its place meanwhile' });
    }
  }

  override reflink(source: TreeFile, target: TreeFile, from: TreeFiles = this): void {
    const isShared =
      from instanceof HostFiles &&
      onFile(source, (old) => onFile(target, (fd) => this.system.cloneFile(old, fd)));
    if (!isShared) throw new FsError('EXDEV');
  }

  override removeDirectory(path: string): void {
    this.directories.forget();
    super.removeDirectory(path);
  }

  override rename(from: string, to: string): void {
    super.rename(from, to);
    this.directories.forget();
  }

  /**
   * Lets `use` set attributes of the file that the caller made at a path. Its type is in `mode`. ESTALE if a file of
   * another type, or a file with several names, is there now.
   */
  dressing(path: string, mode: number, use: (wearer: Wearer) => void): void {
    const fd = this.openToDress(path, mode);
    try {
      const { mode: found, nlink } = attempt(() => this.system.statFile(fd));
      if ((found & S_IFMT) !== (mode & S_IFMT) || (nlink > 1 && !isDirectoryMode(mode)))
        throw new FsError('ESTALE', { note: 'another file has taken its place meanwhile' });
      use(this.wearer(fd));
    } finally {
      this.system.close(fd);
    }
  }

  /**
   * Opens a file with O_PATH, but a directory for reading if that is allowed, since calls on an O_PATH descriptor take
   * longer.
   */
  private openToDress(path: string, mode: number): number {
    if (!isDirectoryMode(mode)) return this.openPath(path, O_PATH | O_NOFOLLOW);
    // Because of the slash, `named` opens the directory itself and then `.` in it. Both are the same directory, since
    // the first stays open.
    const inside = path === '/' ? path : `${path}/`;
    try {
      return this.openPath(inside, O_RDONLY | O_DIRECTORY);
    } catch (error) {
      if (!isFsError(error, 'EACCES')) throw error;
      return this.openPath(inside, O_PATH | O_DIRECTORY);
    }
  }

  /** Returns the object that sets attributes of an open file. */
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
}
