/**
 * Imports an archive: unpacks a tar into a layer, as container engines do. `.` and leading slashes are dropped from a
 * member's path, and `..` must not lead out of the tree. Symlinks on the way to a member are followed within the tree,
 * and missing directories are made.
 */
import {
  type Clock,
  FsError,
  isSymlinkMode,
  NAME_BYTES_MAX,
  type Name,
  nameToString,
  PATH_BYTES_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  SYMLINKS_MAX,
  type Timespec,
  wordOfMode,
} from '../base/index.ts';
import { isMarkedWhiteout, overlayMarks } from '../lower/index.ts';
import { newInodeRecord } from '../meta/index.ts';
import type { LayerBuilder } from '../store/index.ts';
import type { System } from '../sys/index.ts';
import { ArchiveTree, DirectoryNode, FileNode, type NewRecord, type TreeNode } from './archive-tree.ts';
import type { ByteStream } from './byte-stream.ts';
import { ContentReader } from './file-content.ts';
import { ImportTally } from './import-report.ts';
import { Pacing } from './pacing.ts';
import { countBlocks } from './stored-content.ts';
import type { TransferProgress } from './tally.ts';
import type { TarType } from './tar-archive.ts';
import { type TarMember, TarReader } from './tar-reader.ts';
import { isName, isOciMeta, OCI_OPAQUE, ociWhiteout, storedXattrs, type WhiteoutForm } from './whiteouts.ts';

const TYPE_BITS: Readonly<Record<Exclude<TarType, 'link'>, number>> = {
  file: S_IFREG,
  symlink: S_IFLNK,
  character: S_IFCHR,
  block: S_IFBLK,
  directory: S_IFDIR,
  fifo: S_IFIFO,
};

/** The default limit of files and directories in an archive. Each takes about 300 bytes of memory. */
const ENTRIES_MAX = 2_000_000;
/**
 * The largest major and minor number: up to these, a device number is below 2^53, so that a JavaScript number holds it.
 * The kernel itself has only 12 bits for the major number and 20 for the minor one.
 */
const [MAJOR_MAX, MINOR_MAX] = [2 ** 21 - 1, 2 ** 32 - 1];
/**
 * The largest user or group id. The next number, 2^32 - 1, means "leave unchanged" to chown(2), which reads it as -1.
 */
const ID_MAX = 2 ** 32 - 2;

/** Limits of what an archive unpacks to. An import that exceeds one fails with EFBIG. */
export interface ArchiveBounds {
  /** Files and directories; default: 2,000,000. */
  readonly maxEntries?: number | undefined;
  /** Bytes of content and attributes; default: no limit. */
  readonly maxBytes?: number | undefined;
}

export interface ArchiveOptions extends ArchiveBounds {
  readonly whiteouts: WhiteoutForm;
  readonly progress?: ((state: TransferProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class ArchiveImport {
  readonly tally = new ImportTally();
  private readonly builder: LayerBuilder;
  private readonly options: ArchiveOptions;
  private readonly bytes: ByteStream;
  private readonly reader: TarReader;
  private readonly contents: ContentReader;
  private readonly tree: ArchiveTree;
  private readonly now: Timespec;
  private readonly pacing = new Pacing(() => this.showProgress());
  private current = '';
  private bytesLeft: number;

  constructor(system: System, builder: LayerBuilder, bytes: ByteStream, options: ArchiveOptions) {
    this.builder = builder;
    this.options = options;
    this.bytes = bytes;
    bytes.beforeChunk = () => this.throwIfGivenUp();
    this.reader = new TarReader(bytes);
    this.contents = new ContentReader(system, builder, undefined);
    this.now = (system.clock satisfies Clock).now();
    const { maxEntries = ENTRIES_MAX, maxBytes = Number.POSITIVE_INFINITY } = options;
    this.bytesLeft = maxBytes;
    this.tree = new ArchiveTree(builder, this.impliedDirectory(), bytes.path, maxEntries);
  }

  async all(): Promise<void> {
    for (let member = await this.reader.next(); member !== undefined; member = await this.reader.next()) {
      this.current = nameToString(member.path);
      this.check(member);
      await this.member(member);
      if (this.pacing.isDue) await this.breathe();
    }
    const { seconds: mtimeSeconds, nanoseconds: mtimeNanoseconds } = this.now;
    for (const _row of this.tree.store({ mtimeSeconds, mtimeNanoseconds })) {
      if (this.pacing.isDue) await this.breathe();
    }
    await this.builder.settle();
    this.showProgress();
  }

  private async breathe(): Promise<void> {
    this.throwIfGivenUp();
    await this.pacing.turn();
  }

  private throwIfGivenUp(): void {
    if (this.options.signal?.aborted !== true) return;
    throw new FsError('ECANCELED', { syscall: 'import', path: this.builder.name });
  }

  private showProgress(): void {
    this.options.progress?.(this.tally.progress(this.current));
  }

  private async member(member: TarMember): Promise<void> {
    const names = this.namesOf(member.path, 'the path of a member');
    const last = names.pop();
    if (last === undefined) {
      if (member.type === 'directory') this.describe(this.tree.root, member);
      else throw this.refusal(member.path, `is the root, but a ${member.type} and not a directory`);
      return;
    }
    if (this.options.whiteouts === 'oci') {
      if (isOciMeta(names, last)) return;
      if (last === OCI_OPAQUE) {
        this.tree.makeOpaque(this.directoryOf(names, member.path));
        this.tally.whiteouts++;
        return;
      }
      const hidden = ociWhiteout(last);
      if (hidden !== undefined) {
        if (!isName(hidden)) throw this.refusal(member.path, 'is a whiteout without a name');
        this.whiteout(this.directoryOf(names, member.path), hidden, member);
        return;
      }
    }
    await this.unpack(this.directoryOf(names, member.path), last, member);
  }

  /** Throws EINVAL for a member that cannot be stored, and EFBIG when the members so far exceed `maxBytes`. */
  private check({ path, type, target, uid, gid, deviceMajor, deviceMinor, ...member }: TarMember): void {
    if (uid > ID_MAX || gid > ID_MAX) throw this.refusal(path, `belongs to user ${uid}, group ${gid}`);
    if (deviceMajor > MAJOR_MAX || deviceMinor > MINOR_MAX)
      throw this.refusal(path, `is device ${deviceMajor}:${deviceMinor}, which no system has`);
    if (type === 'symlink' && (target === '' || target.includes('\0')))
      throw this.refusal(path, `is a symlink to '${nameToString(target)}', which is not a valid path`);
    this.bytesLeft -= member.sizeBytes;
    for (const [name, value] of member.xattrs) this.bytesLeft -= name.length + value.length;
    if (this.bytesLeft >= 0) return;
    const note = `it unpacks to more than the ${this.options.maxBytes} bytes of --max-bytes (maxBytes)`;
    throw new FsError('EFBIG', { syscall: 'import', path: this.bytes.path, note });
  }

  private whiteout(directory: DirectoryNode, name: Name, member: TarMember): void {
    if (this.tree.whiteout(directory, name, this.recordOf(member, 0))) this.tally.whiteouts++;
  }

  private async unpack(directory: DirectoryNode, name: Name, member: TarMember): Promise<void> {
    if (this.options.whiteouts === 'overlay' && isOverlayWhiteout(directory, member)) {
      this.whiteout(directory, name, member);
      return;
    }
    if (member.type === 'directory') {
      const node = this.tree.takeDirectory(directory, name, this.recordOf(member, 0));
      this.describe(node, member);
      this.tally.directories++;
      return;
    }
    if (member.type === 'link') {
      this.link(directory, name, member);
      return;
    }
    if (this.tree.child(directory, name) !== undefined) this.tree.remove(directory, name);
    const content = await this.contents.readSequence(member.sizeBytes, (target, length) =>
      this.reader.readContent(target, length),
    );
    const { runs } = content;
    const record = { ...this.recordOf(member, content.sizeBytes), blocks: countBlocks(runs) };
    const xattrs = this.xattrsOf(member, record);
    this.tree.unpacked(directory, this.tree.create(directory, name, record, { runs, xattrs }));
    if (member.type === 'file') this.tally.count(content);
    else if (member.type === 'symlink') this.tally.symlinks++;
    else this.tally.special(nameToString(member.path), wordOfMode(record.mode));
  }

  private link(directory: DirectoryNode, name: Name, member: TarMember): void {
    const target = this.find(member.target, member.path);
    if (!(target instanceof FileNode) || target.isWhiteout) {
      const shown = nameToString(member.target);
      const problem = target instanceof DirectoryNode ? 'a directory' : 'not in the archive before it';
      const hint =
        this.builder.base === undefined ? '; `--over BASE` unpacks it over the tree it belongs to' : '';
      throw this.refusal(member.path, `is a hard link to '${shown}', which is ${problem}${hint}`);
    }
    const there = this.tree.child(directory, name);
    if (there !== target) {
      if (there !== undefined) this.tree.remove(directory, name);
      this.tree.link(directory, name, target);
      this.tally.hardLinks++;
    }
    this.tree.unpacked(directory, target);
  }

  /** Gives a directory the attributes of its member, which may come before or after the members in the directory. */
  private describe(node: DirectoryNode, member: TarMember): void {
    const marks = overlayMarks(member.xattrs);
    const record = this.recordOf(member, 0);
    this.tree.describe(node, record, this.xattrsOf(member, record));
    this.tree.unpacked(node, undefined);
    if (this.options.whiteouts !== 'overlay') return;
    node.hasMarkedWhiteouts = marks.hasMarkedWhiteouts;
    if (!marks.isOpaque) return;
    this.tree.makeOpaque(node);
    this.tally.whiteouts++;
  }

  private xattrsOf({ xattrs, path }: TarMember, { mode }: NewRecord): Map<string, Buffer> {
    const { whiteouts } = this.options;
    const stored = storedXattrs(whiteouts, xattrs, { shown: nameToString(path), mode }, this.tally);
    const isOver = whiteouts === 'overlay' && this.builder.base !== undefined;
    if (isOver && overlayMarks(xattrs).redirect !== undefined) {
      throw this.refusal(
        path,
        'has the mark `overlay.redirect`, which only a union follows: import it without --over',
      );
    }
    return stored;
  }

  // Paths.

  /** The names of a path, with `.` and `..` resolved. EINVAL if the path leads out of the tree; ENAMETOOLONG. */
  private namesOf(path: string, what: string): Name[] {
    const names: Name[] = [];
    for (const part of path.split('/')) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (names.pop() === undefined) throw this.refusal(path, `${what} leads out of the tree`);
        continue;
      }
      if (part.length > NAME_BYTES_MAX)
        throw this.refusal(path, 'has a name that is too long', 'ENAMETOOLONG');
      if (part.includes('\0')) throw this.refusal(path, 'has a name with a zero byte');
      names.push(part as Name); // A byte string without slashes, checked above.
    }
    return names;
  }

  /** The directory that `names` lead to. Makes missing directories. */
  private directoryOf(names: readonly Name[], path: string): DirectoryNode {
    const found = this.walk(names, path, true);
    if (found === undefined) throw this.refusal(path, 'lies under a file that is not a directory', 'ENOTDIR');
    return found;
  }

  /**
   * The target of a hard link, or undefined if nothing has that path. Does not follow a symlink at the end of the path.
   */
  private find(target: string, path: string): TreeNode | undefined {
    const names = this.namesOf(target, 'the target of a hard link');
    const last = names.pop();
    if (last === undefined) return this.tree.root;
    const directory = this.walk(names, path, false);
    return directory === undefined ? undefined : this.tree.child(directory, last);
  }

  private walk(names: readonly string[], path: string, makesMissing: boolean): DirectoryNode | undefined {
    let at = this.tree.root;
    let left = [...names].reverse();
    let symlinks = 0;
    for (let name = left.pop(); name !== undefined; name = left.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        at = at.parent ?? at;
        continue;
      }
      const child = this.tree.child(at, name as Name); // A byte string without slashes.
      if (child instanceof DirectoryNode) at = child;
      else if (child !== undefined && isSymlinkMode(child.mode)) {
        if (++symlinks > SYMLINKS_MAX) throw this.refusal(path, 'there are too many symlinks', 'ELOOP');
        const target = this.tree.targetOf(child);
        if (target.startsWith('/')) at = this.tree.root;
        left = [...left, ...target.split('/').reverse()];
      } else if (!makesMissing || (child !== undefined && !child.isWhiteout)) return undefined;
      else at = this.tree.takeDirectory(at, name as Name, this.impliedDirectory()); // As above.
    }
    return at;
  }

  // Records.

  private impliedDirectory(): NewRecord {
    const mtime = this.now;
    const owner = { mode: 0o755, uid: 0, gid: 0, deviceMajor: 0, deviceMinor: 0, target: '' };
    return this.recordOf({ ...owner, type: 'directory', mtime, atime: mtime, ctime: mtime }, 0);
  }

  private recordOf(member: Omit<TarMember, 'path' | 'sizeBytes' | 'xattrs'>, sizeBytes: number): NewRecord {
    const { type, mode, uid, gid, mtime, atime, ctime } = member;
    const target = type === 'symlink' ? member.target : '';
    if (target.length >= PATH_BYTES_MAX)
      throw this.refusal(target, 'is too long for a symlink', 'ENAMETOOLONG');
    // On Linux a symlink always has mode 0777; archives may say otherwise.
    const fullMode = TYPE_BITS[type === 'link' ? 'file' : type] | (type === 'symlink' ? 0o777 : mode);
    return {
      ...newInodeRecord({ mode: fullMode, uid, gid, nlink: 1 }, mtime),
      size: type === 'symlink' ? target.length : sizeBytes,
      rdev: deviceNumber(member.deviceMajor, member.deviceMinor),
      atimeSeconds: atime.seconds,
      atimeNanoseconds: atime.nanoseconds,
      ctimeSeconds: ctime.seconds,
      ctimeNanoseconds: ctime.nanoseconds,
      target,
    };
  }

  private refusal(
    path: string,
    problem: string,
    code: 'EINVAL' | 'ENAMETOOLONG' | 'ENOTDIR' | 'ELOOP' = 'EINVAL',
  ): FsError {
    const note = `member '${nameToString(path)}': ${problem}`;
    return new FsError(code, { syscall: 'import', path: this.bytes.path, note });
  }
}

function isOverlayWhiteout(directory: DirectoryNode, member: TarMember): boolean {
  if (member.type === 'character') return member.deviceMajor === 0 && member.deviceMinor === 0;
  if (!directory.hasMarkedWhiteouts || member.type !== 'file') return false;
  return isMarkedWhiteout({ mode: S_IFREG, size: member.sizeBytes }, member.xattrs);
}

/** The dev_t of Linux, as makedev(3) computes it. */
function deviceNumber(major: number, minor: number): number {
  const low = (major % 2 ** 12) * 256 + (minor % 256);
  return low + Math.floor(minor / 256) * 2 ** 20 + Math.floor(major / 2 ** 12) * 2 ** 44;
}
