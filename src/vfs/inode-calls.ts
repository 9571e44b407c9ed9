/**
 * The operations of one open tree by inode instead of by path, as the kernel's own filesystems offer them (struct
 * inode_operations and file_operations): what a mount speaks. The kernel walks the paths and checks permission.
 * Failures are `FsError`s without a path.
 */
import { BLOCK_SIZE, type BlobId, blocksFor, FsError, type Ino, type Name, S_IFREG } from '../base/index.ts';
import { type Inode, listsMoreThan } from '../layer/index.ts';
import { type Entry, entryIno } from '../lower/index.ts';
import { O_RDWR } from '../sys/index.ts';
import type { Attributes, TimeChange } from './attributes.ts';
import * as attributes from './attributes.ts';
import type { TreeContext } from './context.ts';
import * as data from './file-data.ts';
import * as namespace from './namespace.ts';
import { OpenFile } from './open-file.ts';
import { placeIn } from './path-walk.ts';
import * as xattrs from './xattrs.ts';

/** What setattr changes; a field that is not there stays. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: TimeChange;
  readonly mtime?: TimeChange;
  /** Clears set-user-ID, set-group-ID and file capabilities, as a change by somebody without privileges does. */
  readonly killPrivileges?: boolean;
  /** Another size or owner clears none of them. */
  readonly keepsPrivileges?: boolean;
}

export class InodeCalls {
  private readonly context: TreeContext;

  constructor(context: TreeContext) {
    this.context = context;
  }

  /** Who makes what is made next. */
  actAs(uid: number, gid: number, umask: number): void {
    this.context.owner = { uid, gid };
    // No more than umask(2) would take: type bits must not be cleared, a mode of 0 is a tombstone.
    this.context.umask = umask & 0o777;
  }

  get rootIno(): Ino {
    return this.context.stack.rootIno;
  }

  /** ESTALE when there is no such inode any more. */
  inode(ino: Ino): Inode {
    return this.context.stack.inode(ino);
  }

  /** As `inode`, for a read or a write, which finds out itself what a host tree says of it now. */
  file(ino: Ino): Inode {
    return this.context.stack.inodeAsKnown(ino);
  }

  attributesOf(inode: Inode): Attributes {
    return attributes.attributesOf(this.context.dev, inode);
  }

  /** Undefined when there is no such name. ENOTDIR, ENAMETOOLONG. */
  lookup(directory: Inode, name: Name): Inode | undefined {
    return placeIn(this.context, directory, name).inode;
  }

  /** The root's is the root. ENOTDIR. */
  parentOf(directory: Inode): Inode {
    if (!directory.isDirectory) throw new FsError('ENOTDIR');
    const { stack } = this.context;
    return directory.ino === stack.rootIno ? directory : stack.inode(directory.record.parent);
  }

  /** The names of a directory, without `.` and `..`, in no particular order. ENOTDIR. */
  names(directory: Inode): Iterable<Name> {
    if (!directory.isDirectory) throw new FsError('ENOTDIR');
    attributes.noteAccess(this.context, directory);
    return directory.record.nlink === 0 ? [] : this.context.stack.list(directory, true).keys();
  }

  /**
   * As `names`, without an access: no program has read them yet. Undefined where they would have to be read again: what
   * a live layer has, and what has left the cache or has no name any more; and where they are more than `namesMax`.
   */
  peekNames(
    ino: Ino,
    namesMax: number,
  ): { readonly directory: Inode; readonly names: Iterable<Name> } | undefined {
    const { stack } = this.context;
    const directory = stack.inodes.get(ino);
    if (directory?.isDirectory !== true || directory.record.nlink === 0) return undefined;
    if (stack.chain.isLive(ino) || listsMoreThan(stack, directory, namesMax)) return undefined;
    return { directory, names: stack.list(directory, true).keys() };
  }

  /** What a name stands for, without reading its inode; `NO_ENTRY` when it is gone. */
  entry(directory: Inode, name: Name): Entry {
    return this.context.stack.lookup(directory, name);
  }

  /** The inode of an entry that is not `NO_ENTRY`. */
  inodeOfEntry(entry: Entry): Inode {
    return this.context.stack.inode(entryIno(entry), true);
  }

  // Names.

  /** A regular file. `mode` has no type bits. EEXIST. */
  createFile(directory: Inode, name: Name, mode: number): Inode {
    return namespace.createAt(this.context, this.freePlace(directory, name), S_IFREG | (mode & 0o7777));
  }

  /** A regular file without a name: open(2), O_TMPFILE. The caller keeps it (`isKept`) before anything else happens. */
  createUnnamed(directory: Inode, mode: number): Inode {
    if (!directory.isDirectory) throw new FsError('ENOTDIR');
    const inode = namespace.createUnnamedIn(this.context, directory, S_IFREG | (mode & 0o7777));
    inode.openCount--;
    return inode;
  }

  makeNode(directory: Inode, name: Name, mode: number, rdev: number): Inode {
    return namespace.makeNodeAt(this.context, this.freePlace(directory, name), mode, rdev);
  }

  makeDirectory(directory: Inode, name: Name, mode: number): Inode {
    return namespace.makeDirectoryAt(this.context, this.freePlace(directory, name), mode);
  }

  symlink(directory: Inode, name: Name, target: string): Inode {
    return namespace.symlinkAt(this.context, this.freePlace(directory, name), target);
  }

  link(inode: Inode, directory: Inode, name: Name): void {
    namespace.linkAt(this.context, inode, this.freePlace(directory, name));
  }

  /** ENOENT, EISDIR. */
  unlink(directory: Inode, name: Name): void {
    namespace.unlinkAt(this.context, placeIn(this.context, directory, name));
  }

  /** ENOENT, ENOTDIR, ENOTEMPTY. */
  removeDirectory(directory: Inode, name: Name): void {
    namespace.removeDirectoryAt(this.context, placeIn(this.context, directory, name));
  }

  /** renameat2(2). */
  rename(from: Inode, name: Name, to: Inode, newName: Name, flags: number): void {
    const source = placeIn(this.context, from, name);
    const target = placeIn(this.context, to, newName);
    namespace.renameAt(this.context, source, target, flags);
  }

  private freePlace(directory: Inode, name: Name): ReturnType<typeof placeIn> {
    const place = placeIn(this.context, directory, name);
    if (place.inode !== undefined) throw new FsError('EEXIST');
    return place;
  }

  // Attributes.

  /** Sets several attributes, in the order in which the kernel's own setattr would: size first. */
  change(inode: Inode, changes: AttributeChanges): void {
    const { context } = this;
    const { size, uid, gid, mode, atime, mtime, killPrivileges = false, keepsPrivileges } = changes;
    if (size !== undefined) data.setSize(context, inode, size, killPrivileges, keepsPrivileges);
    if (uid !== undefined || gid !== undefined)
      attributes.changeOwner(context, inode, uid ?? -1, gid ?? -1, keepsPrivileges);
    if (mode !== undefined) attributes.changeMode(context, inode, mode);
    if (atime !== undefined || mtime !== undefined) {
      attributes.changeTimes(context, inode, atime ?? 'omit', mtime ?? 'omit');
    }
  }

  /** False when the inode has no extended attribute at all. */
  hasXattrs(inode: Inode): boolean {
    return inode.record.xattrLayer !== 0 && this.context.stack.xattrsOf(inode).size > 0;
  }

  getXattr(inode: Inode, name: string): Buffer {
    return xattrs.getXattr(this.context, inode, name);
  }

  setXattr(inode: Inode, name: string, value: Uint8Array, flags: number, clearsSetgid: boolean): void {
    xattrs.setXattr(this.context, inode, name, value, flags, clearsSetgid);
  }

  removeXattr(inode: Inode, name: string): void {
    xattrs.removeXattr(this.context, inode, name);
  }

  xattrNames(inode: Inode, hasAdmin: () => boolean): string[] {
    return xattrs.xattrNames(this.context, inode, hasAdmin);
  }

  // Bytes.

  /** Reads up to `length` bytes; fewer at the end of the file. EISDIR, EIO. */
  read(inode: Inode, target: Uint8Array, offset: number, length: number, position: number): number {
    return data.read(this.context, this.opened(inode), target, offset, length, position);
  }

  /** As `read`; -1 when the disk would have to be waited for. */
  tryRead(inode: Inode, target: Uint8Array, offset: number, length: number, position: number): number {
    return data.tryRead(this.context, this.opened(inode), target, offset, length, position);
  }

  /**
   * All bytes of a file, which `target` has room for, without an access: no program has read them yet. False where the
   * disk would have to be waited for, or the inode has left the cache.
   */
  peek(inode: Inode, target: Uint8Array): boolean {
    const { stack } = this.context;
    if (stack.inodes.get(inode.ino) !== inode) return false;
    return stack.mappingOf(inode).tryRead(0, target, 0, inode.record.size);
  }

  /** The access that `peek` left out. */
  noteRead(inode: Inode): void {
    attributes.noteAccess(this.context, inode);
  }

  /** Brings what a read needs from the disk into memory, in the background. */
  async fetch(inode: Inode, position: number, length: number): Promise<void> {
    const { stack } = this.context;
    const pieces: { blob: BlobId; at: number; bytes: number }[] = [];
    const first = Math.floor(position / BLOCK_SIZE);
    const end = blocksFor(Math.min(position + length, inode.record.size));
    stack.mappingOf(inode).extents.forEachPiece(first, end, (_logical, count, blob, physical) => {
      if (blob !== 0) pieces.push({ blob, at: physical * BLOCK_SIZE, bytes: count * BLOCK_SIZE });
    });
    for (const { blob, at, bytes } of pieces) await stack.blobs.fetch(blob, at, bytes);
  }

  write(
    inode: Inode,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number,
    killPrivileges: boolean,
  ): void {
    data.write(this.context, this.opened(inode), source, offset, length, position, killPrivileges);
  }

  allocate(inode: Inode, position: number, length: number, keepSize: boolean, killPrivileges: boolean): void {
    data.allocate(this.context, this.opened(inode), position, length, keepSize, killPrivileges);
  }

  punch(inode: Inode, position: number, length: number, killPrivileges: boolean): void {
    data.punch(this.context, this.opened(inode), position, length, killPrivileges);
  }

  seekData(inode: Inode, position: number): number {
    return data.seekData(this.context, this.opened(inode), position);
  }

  seekHole(inode: Inode, position: number): number {
    return data.seekHole(this.context, this.opened(inode), position);
  }

  /** Shares whole blocks of `source` with `target`: ioctl_ficlonerange(2). */
  reflinkRange(
    source: Inode,
    sourcePosition: number,
    length: number,
    target: Inode,
    targetPosition: number,
    killPrivileges: boolean,
  ): void {
    const origin = { context: this.context, file: this.opened(source) };
    const to = this.opened(target);
    data.reflinkRange(this.context, origin, sourcePosition, length, to, targetPosition, killPrivileges);
  }

  /** Begins, in the background, what `sync` would wait long for; undefined where that is little. */
  flush(): Promise<void> | undefined {
    return this.context.stack.upper?.flush();
  }

  /** Everything acknowledged so far survives a power cut. */
  sync(): void {
    data.syncAll(this.context);
  }

  /** The kernel has checked how the file was opened. */
  private opened(inode: Inode): OpenFile {
    return new OpenFile(inode, O_RDWR, '');
  }
}
