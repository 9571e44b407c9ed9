/**
 * The operations of one open tree by inode instead of by path, for a mount: the kernel walks the paths itself. The
 * operations correspond to the kernel's struct inode_operations and file_operations. Each call names its caller.
 * Failures are `FsError`s without a path.
 */
import { FsError, type Ino, type Name, S_IFREG } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { Entry } from '../lower/index.ts';
import type { Attributes, TimeChange } from './attributes.ts';
import * as attributes from './attributes.ts';
import type { Caller } from './caller.ts';
import { FileData } from './file-data.ts';
import * as namespace from './namespace.ts';
import { placeIn } from './path-walk.ts';
import * as xattrs from './xattrs.ts';

/** Attributes to set; attributes that are left out stay unchanged. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: TimeChange;
  readonly mtime?: TimeChange;
  /** True if a change of size or owner is to clear neither set-user-ID and set-group-ID nor capabilities. */
  readonly keepsPrivileges?: boolean;
}

export class InodeCalls extends FileData {
  get rootIno(): Ino {
    return this.context.stack.rootIno;
  }

  /** The inode with a number. ESTALE when the inode is gone. */
  inode(ino: Ino): Inode {
    return this.context.stack.inode(ino);
  }

  /** Like `inode`, but does not refresh an inode of a host tree: for reads and writes, which refresh it themselves. */
  file(ino: Ino): Inode {
    return this.context.stack.inodeAsKnown(ino);
  }

  attributesOf(inode: Inode): Attributes {
    return attributes.attributesOf(this.context.dev, inode);
  }

  /** The inode of a name; undefined when there is no such name. ENOTDIR, ENAMETOOLONG. */
  lookup(caller: Caller, directory: Inode, name: Name): Inode | undefined {
    return placeIn(this.context, caller, directory, name).inode;
  }

  /** The parent of a directory; the root is its own parent. ENOTDIR. */
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
   * Like `names`, but leaves the access time alone, because no program has read the names yet. Undefined where the
   * names would have to be read again (the directory is in a live layer, left the cache, or was removed), or where
   * there are more than `namesMax`.
   */
  peekNames(
    ino: Ino,
    namesMax: number,
  ): { readonly directory: Inode; readonly names: Iterable<Name> } | undefined {
    const { stack } = this.context;
    const directory = stack.inodes.get(ino);
    if (directory?.isDirectory !== true || directory.record.nlink === 0) return undefined;
    if (stack.chain.isLive(ino) || stack.listsMoreThan(directory, namesMax)) return undefined;
    return { directory, names: stack.list(directory, true).keys() };
  }

  /** The entry of a name, without reading its inode; `NO_ENTRY` when there is none. */
  entry(directory: Inode, name: Name): Entry {
    return this.context.stack.lookup(directory, name);
  }

  /** The inode of an entry that is not `NO_ENTRY`. */
  inodeOfEntry(directory: Inode, name: Name, entry: Entry): Inode {
    return this.context.stack.child(directory, name, entry);
  }

  // Names.

  /** Creates a regular file. `mode` has no type bits. EEXIST. */
  createFile(caller: Caller, directory: Inode, name: Name, mode: number): Inode {
    const place = placeIn(this.context, caller, directory, name);
    return namespace.create(this.context, caller, place, S_IFREG | (mode & 0o7777));
  }

  /**
   * Creates a regular file without a name: open(2), O_TMPFILE. The caller must keep the inode (`isKept`) before any
   * other call.
   */
  createUnnamed(caller: Caller, directory: Inode, mode: number): Inode {
    if (!directory.isDirectory) throw new FsError('ENOTDIR');
    const inode = namespace.createUnnamed(this.context, caller, directory, S_IFREG | (mode & 0o7777));
    inode.openCount--;
    return inode;
  }

  /** EEXIST. */
  makeNode(caller: Caller, directory: Inode, name: Name, mode: number, rdev: number): Inode {
    const place = placeIn(this.context, caller, directory, name);
    return namespace.makeNode(this.context, caller, place, mode, rdev);
  }

  /** EEXIST. */
  makeDirectory(caller: Caller, directory: Inode, name: Name, mode: number): Inode {
    const place = placeIn(this.context, caller, directory, name);
    return namespace.makeDirectory(this.context, caller, place, mode);
  }

  /** EEXIST. */
  symlink(caller: Caller, directory: Inode, name: Name, target: string): Inode {
    const place = placeIn(this.context, caller, directory, name);
    return namespace.symlink(this.context, caller, place, target);
  }

  /** EEXIST, EPERM. */
  link(caller: Caller, inode: Inode, directory: Inode, name: Name): void {
    namespace.link(this.context, caller, inode, placeIn(this.context, caller, directory, name));
  }

  /** ENOENT, EISDIR. */
  unlink(caller: Caller, directory: Inode, name: Name): void {
    namespace.unlink(this.context, caller, placeIn(this.context, caller, directory, name));
  }

  /** ENOENT, ENOTDIR, ENOTEMPTY. */
  removeDirectory(caller: Caller, directory: Inode, name: Name): void {
    namespace.removeDirectory(this.context, caller, placeIn(this.context, caller, directory, name));
  }

  /** renameat2(2). */
  rename(caller: Caller, from: Inode, name: Name, to: Inode, newName: Name, flags: number): void {
    const source = placeIn(this.context, caller, from, name);
    const target = placeIn(this.context, caller, to, newName);
    namespace.rename(this.context, caller, source, target, flags);
  }

  // Attributes.

  /** Sets several attributes, in the kernel's order: size first. */
  change(caller: Caller, inode: Inode, changes: AttributeChanges): void {
    const { context } = this;
    const { size, uid, gid, mode, atime, mtime, keepsPrivileges } = changes;
    if (size !== undefined) this.setSize(caller, inode, size, keepsPrivileges);
    if (uid !== undefined || gid !== undefined)
      attributes.changeOwner(context, caller, inode, uid ?? -1, gid ?? -1, keepsPrivileges);
    if (mode !== undefined) attributes.changeMode(context, caller, inode, mode);
    if (atime !== undefined || mtime !== undefined) {
      attributes.changeTimes(context, caller, inode, atime ?? 'omit', mtime ?? 'omit');
    }
  }

  hasXattrs(inode: Inode): boolean {
    return inode.record.xattrLayer !== 0 && this.context.stack.xattrsOf(inode).size > 0;
  }

  getXattr(caller: Caller, inode: Inode, name: string): Buffer {
    return xattrs.getXattr(this.context, caller, inode, name);
  }

  setXattr(caller: Caller, inode: Inode, name: string, value: Uint8Array, flags: number): void {
    xattrs.setXattr(this.context, caller, inode, name, value, flags);
  }

  removeXattr(caller: Caller, inode: Inode, name: string): void {
    xattrs.removeXattr(this.context, caller, inode, name);
  }

  xattrNames(caller: Caller, inode: Inode, hasAdmin: () => boolean): string[] {
    return xattrs.xattrNames(this.context, caller, inode, hasAdmin);
  }
}
