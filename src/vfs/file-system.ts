/**
 * One open tree as a filesystem: Linux's operations on paths and open files, all synchronous. `FileSystem` turns a path
 * or an open file into an inode, and checks how the file was opened; the room's functions on inodes do the rest. Paths
 * and names are byte strings (base/names). Every failure is an `FsError` with Linux's code; callers add system call and
 * path.
 */
import { FsError, type Name } from '../base/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { entryIno, entryKind, NO_ENTRY, UNREAD_ENTRY } from '../lower/index.ts';
import type { View } from '../mapping/index.ts';
import { O_DSYNC } from '../sys/index.ts';
import type { Attributes, TimeChange } from './attributes.ts';
import * as attributes from './attributes.ts';
import type { Caller } from './caller.ts';
import { TreeContext } from './context.ts';
import { extentSame, type SameExtent, type SameTarget } from './extent-same.ts';
import type { MapOptions } from './file-data.ts';
import { InodeCalls } from './inode-calls.ts';
import type { DirectoryEntry } from './namespace.ts';
import * as namespace from './namespace.ts';
import type { OpenFile } from './open-file.ts';
import * as opening from './open-file.ts';
import { type Place, realPath, resolve, walk, walkToAnyName, walkToName } from './path-walk.ts';
import { mayAccess, R_OK, requireAccess, W_OK, X_OK } from './permission.ts';
import * as xattrs from './xattrs.ts';

export class FileSystem {
  /** The state of the tree. For this room only. */
  readonly context: TreeContext;
  /** Operations on inodes of the same tree, for a mount. */
  readonly byInode: InodeCalls;
  /** The user for whom calls by path and by open file are made. */
  caller: Caller;

  constructor(stack: LayerStack, dev: number, caller: Caller) {
    this.context = new TreeContext(stack, dev);
    this.byInode = new InodeCalls(this.context);
    this.caller = caller;
  }

  get stack(): LayerStack {
    return this.context.stack;
  }

  get isReadOnly(): boolean {
    return this.context.stack.upper === undefined;
  }

  /** If false, reading leaves access times alone, as with the option `noatime` of mount(8). */
  get keepsAccessTimes(): boolean {
    return this.context.keepsAccessTimes;
  }

  set keepsAccessTimes(keeps: boolean) {
    this.context.keepsAccessTimes = keeps;
  }

  private resolve(path: string, follow: boolean): Inode {
    return resolve(this.context, this.caller, path, follow);
  }

  // Attributes.

  stat(path: string, follow: boolean): Attributes {
    this.context.stack.trim();
    return attributes.attributesOf(this.context.dev, this.resolve(path, follow));
  }

  /** Like `stat`, but returns undefined instead of throwing ENOENT or ENOTDIR. */
  tryStat(path: string, follow: boolean): Attributes | undefined {
    this.context.stack.trim();
    try {
      const { inode } = walk(this.context, this.caller, path, follow);
      return inode === undefined ? undefined : attributes.attributesOf(this.context.dev, inode);
    } catch (error) {
      if (error instanceof FsError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  statFile(file: OpenFile): Attributes {
    const inode = file.requireOpen();
    this.context.stack.refresh(inode);
    return attributes.attributesOf(this.context.dev, inode);
  }

  chmod(path: string, mode: number, follow: boolean): void {
    const inode = this.resolve(path, follow);
    if (inode.isSymlink) throw new FsError('ENOTSUP');
    attributes.changeMode(this.context, this.caller, inode, mode);
  }

  chmodFile(file: OpenFile, mode: number): void {
    attributes.changeMode(this.context, this.caller, file.requireOpen(), mode);
  }

  chown(path: string, uid: number, gid: number, follow: boolean): void {
    attributes.changeOwner(this.context, this.caller, this.resolve(path, follow), uid, gid);
  }

  chownFile(file: OpenFile, uid: number, gid: number): void {
    attributes.changeOwner(this.context, this.caller, file.requireOpen(), uid, gid);
  }

  setTimes(path: string, atime: TimeChange, mtime: TimeChange, follow: boolean): void {
    attributes.changeTimes(this.context, this.caller, this.resolve(path, follow), atime, mtime);
  }

  setFileTimes(file: OpenFile, atime: TimeChange, mtime: TimeChange): void {
    attributes.changeTimes(this.context, this.caller, file.requireOpen(), atime, mtime);
  }

  /** access(2). EROFS for W_OK on a snapshot, EACCES otherwise. */
  access(path: string, mode: number): void {
    const inode = this.resolve(path, true);
    const mask = mode & (R_OK | W_OK | X_OK);
    if ((mask & W_OK) !== 0 && this.isReadOnly && (inode.isFile || inode.isDirectory))
      throw new FsError('EROFS');
    if (mask !== 0 && !mayAccess(this.context, this.caller, inode, mask)) throw new FsError('EACCES');
  }

  realPath(path: string): string {
    return realPath(this.context, this.caller, path);
  }

  getXattr(path: string, name: string, follow: boolean): Buffer {
    return xattrs.getXattr(this.context, this.caller, this.resolve(path, follow), name);
  }

  setXattr(path: string, name: string, value: Uint8Array, flags: number, follow: boolean): void {
    xattrs.setXattr(this.context, this.caller, this.resolve(path, follow), name, value, flags);
  }

  listXattrs(path: string, follow: boolean): string[] {
    return xattrs.xattrNames(this.context, this.caller, this.resolve(path, follow));
  }

  removeXattr(path: string, name: string, follow: boolean): void {
    xattrs.removeXattr(this.context, this.caller, this.resolve(path, follow), name);
  }

  // Open files.

  /** open(2), with O_TMPFILE. `mode` is masked by the default ACL of the directory, or else by the umask. */
  open(path: string, flags: number, mode: number): OpenFile {
    return opening.open(this.byInode, this.caller, path, flags, mode);
  }

  /** EBADF when the file is already closed. */
  close(file: OpenFile): void {
    opening.close(this.context, file);
  }

  /** read(2). With a position of null, reads at the file's own position and moves it. Returns the number of bytes. */
  read(file: OpenFile, target: Uint8Array, offset: number, length: number, position: number | null): number {
    const inode = file.requireReadable();
    const at = position ?? file.position;
    const bytes = this.byInode.read(inode, target, offset, length, at);
    if (position === null) file.position = at + bytes;
    return bytes;
  }

  /** Like `read`, but returns -1 if it would have to wait for the disk. */
  tryRead(file: OpenFile, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.byInode.read(file.requireReadable(), target, offset, length, position, false);
  }

  /** write(2). With a position of null, writes at the file's own position and moves it. Returns the number of bytes. */
  write(file: OpenFile, source: Uint8Array, offset: number, length: number, position: number | null): number {
    const { byInode, caller } = this;
    const inode = file.requireWritable();
    const wanted = file.isAppending ? undefined : (position ?? file.position);
    const bytes = byInode.write(caller, inode, source, offset, length, wanted);
    if (position === null) file.position = wanted === undefined ? inode.record.size : wanted + bytes;
    if ((file.flags & O_DSYNC) !== 0) this.context.stack.writable().commitMark();
    return bytes;
  }

  truncate(path: string, size: number): void {
    const inode = this.resolve(path, true);
    if (inode.isDirectory) throw new FsError('EISDIR');
    requireAccess(this.context, this.caller, inode, W_OK);
    this.byInode.setSize(this.caller, inode, size);
  }

  /** EINVAL when the file is not open for writing. */
  truncateFile(file: OpenFile, size: number): void {
    const inode = file.requireOpen();
    if (!file.canWrite) throw new FsError('EINVAL');
    this.byInode.setSize(this.caller, inode, size);
  }

  allocate(file: OpenFile, position: number, length: number, keepSize: boolean): void {
    this.byInode.allocate(this.caller, file.requireWritable(), position, length, keepSize);
  }

  punch(file: OpenFile, position: number, length: number): void {
    this.byInode.punch(this.caller, file.requireWritable(), position, length);
  }

  seekData(file: OpenFile, position: number): number {
    return this.byInode.seek(file.requireOpen(), position, 'data');
  }

  seekHole(file: OpenFile, position: number): number {
    return this.byInode.seek(file.requireOpen(), position, 'hole');
  }

  sync(file: OpenFile, _dataOnly: boolean): void {
    file.requireOpen();
    this.byInode.sync();
  }

  /** FICLONE. `from` is the open tree of `source`, in the same store. */
  reflink(source: OpenFile, target: OpenFile, from: FileSystem = this): void {
    const inode = source.requireReadable();
    this.byInode.reflink(this.caller, inode, target.requireWritable(), from.context);
  }

  /** FICLONERANGE. A `length` of 0 means to the end of the source. */
  reflinkRange(
    source: OpenFile,
    sourcePosition: number,
    length: number,
    target: OpenFile,
    targetPosition: number,
    from: FileSystem = this,
  ): void {
    const { byInode, caller } = this;
    const inode = source.requireReadable();
    const to = target.requireWritable();
    byInode.reflinkRange(caller, inode, sourcePosition, length, to, targetPosition, from.context);
  }

  /** FIDEDUPERANGE. EROFS, EBADF. */
  extentSame(
    source: OpenFile,
    sourcePosition: number,
    length: number,
    targets: readonly SameTarget[],
    from: FileSystem = this,
  ): (SameExtent | FsError)[] {
    this.context.stack.writable();
    const origin = { context: from.context, inode: source.requireReadable() };
    return extentSame(this.context, this.caller, origin, sourcePosition, length, targets);
  }

  map(file: OpenFile, options?: MapOptions): View {
    return this.byInode.map(file.requireReadable(), options);
  }

  // Names.

  makeDirectory(path: string, mode: number): void {
    namespace.makeDirectory(this.context, this.caller, this.walkToName(path), mode);
  }

  removeDirectory(path: string): void {
    namespace.removeDirectory(this.context, this.caller, this.walkToName(path));
  }

  unlink(path: string): void {
    namespace.unlink(this.context, this.caller, this.walkToName(path));
  }

  rename(from: string, to: string, flags = 0): void {
    const { context, caller } = this;
    namespace.requireRenameFlags(flags);
    const source = walkToAnyName(context, caller, from);
    namespace.rename(context, caller, source, walkToAnyName(context, caller, to), flags);
  }

  link(existing: string, path: string, followExisting: boolean): void {
    const inode = this.resolve(existing, followExisting);
    namespace.link(this.context, this.caller, inode, this.walkToName(path));
  }

  symlink(target: string, path: string): void {
    namespace.requireTarget(target);
    namespace.symlink(this.context, this.caller, this.walkToName(path), target);
  }

  readLink(path: string): string {
    const inode = this.resolve(path, false);
    if (!inode.isSymlink) throw new FsError('EINVAL');
    return inode.record.target;
  }

  makeNode(path: string, mode: number, rdev: number): void {
    namespace.requireNodeType(mode);
    namespace.makeNode(this.context, this.caller, this.walkToName(path), mode, rdev);
  }

  private walkToName(path: string): Place {
    return walkToName(this.context, this.caller, path);
  }

  // Directories.

  readDirectory(path: string): DirectoryEntry[] {
    this.context.stack.trim();
    return this.entriesOf(this.resolve(path, true));
  }

  /** The entries of an open directory; none if the directory was removed. */
  openDirectoryEntries(file: OpenFile): DirectoryEntry[] {
    return this.entriesOf(file.requireOpen());
  }

  /** Lists only the names, which is the fastest way to list a directory that was never read. */
  readDirectoryNames(path: string): Name[] {
    const directory = this.listable(this.resolve(path, true));
    return [...this.context.stack.list(directory).keys()];
  }

  private listable(inode: Inode): Inode {
    if (!inode.isDirectory) throw new FsError('ENOTDIR');
    requireAccess(this.context, this.caller, inode, R_OK);
    attributes.noteAccess(this.context, inode);
    return inode;
  }

  private entriesOf(inode: Inode): DirectoryEntry[] {
    const { stack } = this.context;
    const directory = this.listable(inode);
    const entries: DirectoryEntry[] = [];
    if (directory.record.nlink === 0) return entries;
    for (const [name, known] of [...stack.list(directory)]) {
      const entry = known === UNREAD_ENTRY ? stack.lookup(directory, name) : known;
      if (entry !== NO_ENTRY) entries.push({ name, ino: entryIno(entry), kind: entryKind(entry) });
    }
    return entries;
  }
}
