/**
 * One open tree as a filesystem: paths, open files, and the operations of Linux on them. Synchronous. Paths and names
 * are byte strings (base/names). Every failure is an `FsError` with the code that Linux gives; the interface that was
 * called adds the system call and the path.
 */
import { FsError, type Name } from '../base/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { entryIno, entryKind, NO_ENTRY, UNREAD_ENTRY } from '../lower/index.ts';
import type { View } from '../mapping/index.ts';
import type { Attributes, TimeChange } from './attributes.ts';
import * as attributes from './attributes.ts';
import { type FileOwner, TreeContext } from './context.ts';
import type { Credentials } from './credentials.ts';
import { extentSame, type SameExtent, type SameTarget } from './extent-same.ts';
import * as data from './file-data.ts';
import { InodeCalls } from './inode-calls.ts';
import type { DirectoryEntry } from './namespace.ts';
import * as namespace from './namespace.ts';
import type { OpenFile } from './open-file.ts';
import * as opening from './opening.ts';
import { realPath, resolve, walk } from './path-walk.ts';
import { mayAccess, R_OK, requireAccess, W_OK, X_OK } from './permission.ts';
import * as xattrs from './xattrs.ts';

export interface FileSystemOptions {
  readonly dev: number;
  readonly owner: FileOwner;
  readonly umask: number;
}

export class FileSystem {
  private inodeCalls: InodeCalls | undefined;
  /** For this room only: what the functions beside this class take. */
  readonly context: TreeContext;

  constructor(stack: LayerStack, options: FileSystemOptions) {
    this.context = new TreeContext(stack, options.dev, options.owner, options.umask);
  }

  /** The same tree by inode, for a mount. */
  get byInode(): InodeCalls {
    this.inodeCalls ??= new InodeCalls(this.context);
    return this.inodeCalls;
  }

  get stack(): LayerStack {
    return this.context.stack;
  }

  get isReadOnly(): boolean {
    return this.context.stack.upper === undefined;
  }

  get dev(): number {
    return this.context.dev;
  }

  get credentials(): Credentials | undefined {
    return this.context.credentials;
  }

  set credentials(credentials: Credentials | undefined) {
    this.context.credentials = credentials;
  }

  get umask(): number {
    return this.context.umask;
  }

  set umask(bits: number) {
    this.context.umask = bits & 0o777;
  }

  /** False: reading leaves the times of access alone, as the option `noatime` of mount(8) does. */
  get keepsAccessTimes(): boolean {
    return this.context.keepsAccessTimes;
  }

  set keepsAccessTimes(keeps: boolean) {
    this.context.keepsAccessTimes = keeps;
  }

  get owner(): FileOwner {
    return this.context.owner;
  }

  set owner(owner: FileOwner) {
    this.context.owner = owner;
  }

  // Attributes.

  stat(path: string, follow: boolean): Attributes {
    this.context.stack.trim();
    return attributes.attributesOf(this.context.dev, resolve(this.context, path, follow));
  }

  /** As `stat`, but undefined where ENOENT or ENOTDIR would be thrown. */
  tryStat(path: string, follow: boolean): Attributes | undefined {
    this.context.stack.trim();
    try {
      const { inode } = walk(this.context, path, follow);
      return inode === undefined ? undefined : attributes.attributesOf(this.context.dev, inode);
    } catch (error) {
      if (error instanceof FsError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  statFile(file: OpenFile): Attributes {
    const inode = this.inodeOf(file);
    this.context.stack.refresh(inode);
    return attributes.attributesOf(this.context.dev, inode);
  }

  chmod(path: string, mode: number, follow: boolean): void {
    const inode = resolve(this.context, path, follow);
    if (inode.isSymlink) throw new FsError('ENOTSUP');
    attributes.changeMode(this.context, inode, mode);
  }

  chmodFile(file: OpenFile, mode: number): void {
    attributes.changeMode(this.context, this.inodeOf(file), mode);
  }

  chown(path: string, uid: number, gid: number, follow: boolean): void {
    attributes.changeOwner(this.context, resolve(this.context, path, follow), uid, gid);
  }

  chownFile(file: OpenFile, uid: number, gid: number): void {
    attributes.changeOwner(this.context, this.inodeOf(file), uid, gid);
  }

  setTimes(path: string, atime: TimeChange, mtime: TimeChange, follow: boolean): void {
    attributes.changeTimes(this.context, resolve(this.context, path, follow), atime, mtime);
  }

  setFileTimes(file: OpenFile, atime: TimeChange, mtime: TimeChange): void {
    attributes.changeTimes(this.context, this.inodeOf(file), atime, mtime);
  }

  /** access(2). EROFS for W_OK on a snapshot, EACCES otherwise. */
  access(path: string, mode: number): void {
    const inode = resolve(this.context, path, true);
    const mask = mode & (R_OK | W_OK | X_OK);
    if ((mask & W_OK) !== 0 && this.isReadOnly && (inode.isFile || inode.isDirectory))
      throw new FsError('EROFS');
    if (mask !== 0 && !mayAccess(this.context, inode, mask)) throw new FsError('EACCES');
  }

  realPath(path: string): string {
    return realPath(this.context, path);
  }

  getXattr(path: string, name: string, follow: boolean): Buffer {
    return xattrs.getXattr(this.context, resolve(this.context, path, follow), name);
  }

  setXattr(path: string, name: string, value: Uint8Array, flags: number, follow: boolean): void {
    xattrs.setXattr(this.context, resolve(this.context, path, follow), name, value, flags);
  }

  listXattrs(path: string, follow: boolean): string[] {
    return xattrs.xattrNames(this.context, resolve(this.context, path, follow));
  }

  removeXattr(path: string, name: string, follow: boolean): void {
    xattrs.removeXattr(this.context, resolve(this.context, path, follow), name);
  }

  // Open files.

  /** open(2), with O_TMPFILE. `mode` is masked by the default ACL of the directory, or else by the umask. */
  open(path: string, flags: number, mode: number): OpenFile {
    return opening.open(this.context, path, flags, mode);
  }

  /** EBADF when it is closed already. */
  close(file: OpenFile): void {
    opening.close(this.context, file);
  }

  private inodeOf(file: OpenFile): Inode {
    if (!file.isOpen) throw new FsError('EBADF');
    return file.inode;
  }

  read(file: OpenFile, target: Uint8Array, offset: number, length: number, position: number | null): number {
    return data.read(this.context, file, target, offset, length, position);
  }

  tryRead(file: OpenFile, target: Uint8Array, offset: number, length: number, position: number): number {
    return data.tryRead(this.context, file, target, offset, length, position);
  }

  write(file: OpenFile, source: Uint8Array, offset: number, length: number, position: number | null): number {
    return data.write(this.context, file, source, offset, length, position);
  }

  truncate(path: string, size: number): void {
    const inode = resolve(this.context, path, true);
    if (inode.isDirectory) throw new FsError('EISDIR');
    requireAccess(this.context, inode, W_OK);
    data.setSize(this.context, inode, size);
  }

  truncateFile(file: OpenFile, size: number): void {
    data.truncateFile(this.context, file, size);
  }

  allocate(file: OpenFile, position: number, length: number, keepSize: boolean): void {
    data.allocate(this.context, file, position, length, keepSize);
  }

  punch(file: OpenFile, position: number, length: number): void {
    data.punch(this.context, file, position, length);
  }

  seekData(file: OpenFile, position: number): number {
    return data.seekData(this.context, file, position);
  }

  seekHole(file: OpenFile, position: number): number {
    return data.seekHole(this.context, file, position);
  }

  sync(file: OpenFile, _dataOnly: boolean): void {
    data.sync(this.context, file);
  }

  syncAll(): void {
    data.syncAll(this.context);
  }

  /** FICLONE. `source` may be a file of another open tree of the same store: then `from` is that tree. */
  reflink(source: OpenFile, target: OpenFile, from: FileSystem = this): void {
    data.reflink(this.context, { context: from.context, file: source }, target);
  }

  /** FICLONERANGE; `length` 0 means to the end of the source. */
  reflinkRange(
    source: OpenFile,
    sourcePosition: number,
    length: number,
    target: OpenFile,
    targetPosition: number,
    from: FileSystem = this,
  ): void {
    const origin = { context: from.context, file: source };
    data.reflinkRange(this.context, origin, sourcePosition, length, target, targetPosition);
  }

  /** FIDEDUPERANGE; the source may be a file of another open tree of the same store, `from`. */
  extentSame(
    source: OpenFile,
    sourcePosition: number,
    length: number,
    targets: readonly SameTarget[],
    from: FileSystem = this,
  ): (SameExtent | FsError)[] {
    const origin = { context: from.context, file: source };
    return extentSame(this.context, origin, sourcePosition, length, targets);
  }

  map(file: OpenFile, options?: data.MapOptions): View {
    return data.map(this.context, file, options);
  }

  // Names.

  makeDirectory(path: string, mode: number): void {
    namespace.makeDirectory(this.context, path, mode);
  }

  removeDirectory(path: string): void {
    namespace.removeDirectory(this.context, path);
  }

  unlink(path: string): void {
    namespace.unlink(this.context, path);
  }

  rename(from: string, to: string, flags = 0): void {
    namespace.rename(this.context, from, to, flags);
  }

  link(existing: string, path: string, followExisting: boolean): void {
    namespace.link(this.context, existing, path, followExisting);
  }

  symlink(target: string, path: string): void {
    namespace.symlink(this.context, target, path);
  }

  readLink(path: string): string {
    const inode = resolve(this.context, path, false);
    if (!inode.isSymlink) throw new FsError('EINVAL');
    return inode.record.target;
  }

  makeNode(path: string, mode: number, rdev: number): void {
    namespace.makeNode(this.context, path, mode, rdev);
  }

  // Directories.

  readDirectory(path: string): DirectoryEntry[] {
    this.context.stack.trim();
    return this.entriesOf(resolve(this.context, path, true));
  }

  /** The entries of an open directory, also one that has lost its name. */
  openDirectoryEntries(file: OpenFile): DirectoryEntry[] {
    return this.entriesOf(this.inodeOf(file));
  }

  /** Names alone: the fastest way to list a directory that was never read. */
  readDirectoryNames(path: string): Name[] {
    const directory = this.listable(resolve(this.context, path, true));
    return [...this.context.stack.list(directory).keys()];
  }

  private listable(inode: Inode): Inode {
    if (!inode.isDirectory) throw new FsError('ENOTDIR');
    requireAccess(this.context, inode, R_OK);
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
