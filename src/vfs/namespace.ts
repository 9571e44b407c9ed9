/**
 * Creates, removes, renames and links names, and makes new inodes. Each operation is journalled as one record.
 * Operations take places that `walkToName` (by path) or `placeIn` (by directory and name) has found.
 */
import {
  FsError,
  kindOfMode,
  type Name,
  PATH_BYTES_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  type Timespec,
} from '../base/index.ts';
import type { Batch, DraftRecord, Inode } from '../layer/index.ts';
import { type Entry, entryOf, NO_ENTRY, WHITEOUT_MODE } from '../lower/index.ts';
import { newInodeRecord } from '../meta/index.ts';
import type { Caller } from './caller.ts';
import { type TreeContext, touchChanged, touchModified } from './context.ts';
import { type Place, requireNameLength } from './path-walk.ts';
import { requireAccess, requireRemoval, W_OK, X_OK } from './permission.ts';
import { aclOf, inherit } from './posix-acl.ts';
import { type Acl, encodeAcl } from './posix-acl-format.ts';
import { ACCESS_ACL, DEFAULT_ACL } from './xattr-names.ts';

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

/** EEXIST if the name is in use; ENOENT if the path ends in a slash and `mode` is not a directory's. */
function requireFree(place: Place, mode: number): void {
  if (place.inode !== undefined) throw new FsError('EEXIST');
  if (place.hasTrailingSlash && (mode & S_IFMT) !== S_IFDIR) throw new FsError('ENOENT');
}

/** ENOENT for a directory that was removed while it was in use. */
function requireAlive(directory: Inode): void {
  if (directory.record.nlink === 0) throw new FsError('ENOENT');
}

/** ENOENT or EACCES unless a name may be added to `directory`. */
function requireAddition(context: TreeContext, caller: Caller, directory: Inode): void {
  requireAlive(directory);
  requireAccess(context, caller, directory, W_OK | X_OK);
}

/** Creates an inode under a free name. `mode` has its type bits. EEXIST. */
export function create(
  context: TreeContext,
  caller: Caller,
  place: Place,
  mode: number,
  fields?: NewFields,
): Inode {
  requireFree(place, mode);
  const { stack } = context;
  return stack.change((batch) => {
    const { directory, name } = place;
    requireAddition(context, caller, directory);
    const now = context.now();
    const inode = addInode(context, caller, batch, directory, mode, now, fields);
    batch.setName(directory, name, entryOf(inode.ino, kindOfMode(mode)));
    const draft = batch.change(directory);
    if (inode.isDirectory) {
      inode.children = new Map();
      inode.isComplete = true;
      countSubdirectory(draft, 1);
    }
    touchModified(draft, now);
    return inode;
  });
}

/**
 * Creates an inode without a name, for O_TMPFILE. It is counted as open before the change is applied, since it lives
 * only while it is open. `mode` has its type bits.
 */
export function createUnnamed(context: TreeContext, caller: Caller, directory: Inode, mode: number): Inode {
  const { stack } = context;
  return stack.change((batch) => {
    requireAccess(context, caller, directory, W_OK | X_OK);
    const inode = addInode(context, caller, batch, directory, mode, context.now(), { nlink: 0 });
    inode.openCount++;
    return inode;
  });
}

export function makeDirectory(context: TreeContext, caller: Caller, place: Place, mode: number): Inode {
  return create(context, caller, place, S_IFDIR | (mode & 0o1777), { nlink: 2 });
}

/** mknod(2) for fifos, sockets, devices and regular files. `mode` has its type bits. */
export function makeNode(
  context: TreeContext,
  caller: Caller,
  place: Place,
  mode: number,
  rdev: number,
): Inode {
  requireNodeType(mode);
  return create(context, caller, place, mode & (S_IFMT | 0o7777), { rdev });
}

const NODE_TYPES: ReadonlySet<number> = new Set([S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK]);

/** EINVAL for type bits that mknod(2) does not take. */
export function requireNodeType(mode: number): void {
  if (!NODE_TYPES.has(mode & S_IFMT)) throw new FsError('EINVAL');
}

export function symlink(context: TreeContext, caller: Caller, place: Place, target: string): Inode {
  requireTarget(target);
  return create(context, caller, place, S_IFLNK | 0o777, { target });
}

/** ENOENT or ENAMETOOLONG for a text that cannot be the target of a symlink. */
export function requireTarget(target: string): void {
  if (target.length === 0) throw new FsError('ENOENT');
  if (target.length >= PATH_BYTES_MAX) throw new FsError('ENAMETOOLONG');
}

/** link(2), also of an inode without a name (O_TMPFILE). */
export function link(context: TreeContext, caller: Caller, inode: Inode, place: Place): void {
  const { stack } = context;
  requireFree(place, S_IFREG);
  if (inode.isDirectory) throw new FsError('EPERM');
  stack.change((batch) => {
    requireAddition(context, caller, place.directory);
    const now = context.now();
    const draft = batch.change(inode);
    draft.nlink++;
    draft.parent = place.directory.ino;
    touchChanged(draft, now);
    batch.setName(place.directory, place.name, entryOf(inode.ino, kindOfMode(inode.record.mode)));
    touchModified(batch.change(place.directory), now);
  });
}

export function unlink(context: TreeContext, caller: Caller, place: Place): void {
  const { inode } = place;
  if (inode === undefined) throw new FsError('ENOENT');
  if (inode.isDirectory) throw new FsError('EISDIR');
  if (place.hasTrailingSlash) throw new FsError('ENOTDIR');
  remove(context, caller, place, inode);
}

export function removeDirectory(context: TreeContext, caller: Caller, place: Place): void {
  const { inode } = place;
  if (inode === undefined) throw new FsError('ENOENT');
  if (!inode.isDirectory) throw new FsError('ENOTDIR');
  if (place.last === 'dot') throw new FsError('EINVAL');
  if (place.last === 'dotdot') throw new FsError('ENOTEMPTY');
  if (place.last === 'root' || inode.ino === context.stack.rootIno) throw new FsError('EBUSY');
  remove(context, caller, place, inode);
}

function remove(context: TreeContext, caller: Caller, { directory, name }: Place, inode: Inode): void {
  context.stack.change((batch) => {
    requireRemoval(context, caller, directory, inode);
    if (inode.isDirectory) requireEmpty(context, inode);
    const now = context.now();
    dropLink(batch, inode, now);
    batch.setName(directory, name, NO_ENTRY);
    const draft = batch.change(directory);
    if (inode.isDirectory) countSubdirectory(draft, -1);
    touchModified(draft, now);
  });
}

function requireEmpty(context: TreeContext, directory: Inode): void {
  if (context.stack.list(directory).size > 0) throw new FsError('ENOTEMPTY');
}

/**
 * Changes a directory's link count for one subdirectory. A count of 1 means that subdirectories are not counted, as on
 * btrfs; 0, that the directory was removed. Any other count stays at 2 or more, even when a subdirectory is removed
 * that appeared on the host and was never counted.
 */
function countSubdirectory(draft: DraftRecord, by: 1 | -1): void {
  if (draft.nlink >= 2) draft.nlink = Math.max(2, draft.nlink + by);
}

/** Takes one name from an inode. A directory has only one name, and loses the link of its `.` too. */
function dropLink(batch: Batch, inode: Inode, now: Timespec): void {
  const draft = batch.change(inode);
  draft.nlink = inode.isDirectory ? 0 : draft.nlink - 1;
  touchChanged(draft, now);
}

/** EINVAL for flags that exclude each other. */
export function requireRenameFlags(flags: number): void {
  const others = RENAME_NOREPLACE | RENAME_WHITEOUT;
  if ((flags & RENAME_EXCHANGE) !== 0 && (flags & others) !== 0) throw new FsError('EINVAL');
}

/** rename(2) in all its cases, with every flag of renameat2(2). */
export function rename(
  context: TreeContext,
  caller: Caller,
  source: Place,
  target: Place,
  flags: number,
): void {
  requireRenameFlags(flags);
  const { stack } = context;
  const isExchange = (flags & RENAME_EXCHANGE) !== 0;
  const moved = source.inode;
  if (source.last !== 'name' || target.last !== 'name') throw new FsError('EBUSY');
  requireNameLength(source.name);
  if (moved === undefined) throw new FsError('ENOENT');
  requireNameLength(target.name);
  const replaced = target.inode;
  if ((flags & RENAME_NOREPLACE) !== 0 && replaced !== undefined) throw new FsError('EEXIST');
  if (isExchange && replaced === undefined) throw new FsError('ENOENT');
  if (source.hasTrailingSlash && !moved.isDirectory) throw new FsError('ENOTDIR');
  const arriving = isExchange ? replaced : moved;
  if (target.hasTrailingSlash && !arriving?.isDirectory) throw new FsError('ENOTDIR');
  requireAlive(target.directory);
  if (moved.isDirectory && isWithin(context, target.directory, moved)) throw new FsError('EINVAL');
  if (replaced?.isDirectory && isWithin(context, source.directory, replaced))
    throw new FsError(isExchange ? 'EINVAL' : 'ENOTEMPTY');
  stack.change((batch) => {
    if (moved === replaced) return;
    requireRemoval(context, caller, source.directory, moved);
    if (replaced !== undefined) requireRemoval(context, caller, target.directory, replaced);
    else requireAccess(context, caller, target.directory, W_OK | X_OK);
    // A move to another parent changes the `..` in a directory, so the directory itself must be writable.
    if (moved.isDirectory && source.directory !== target.directory)
      requireAccess(context, caller, moved, W_OK);
    if (replaced !== undefined && !isExchange) checkReplaceable(context, moved, replaced);
    const now = context.now();
    if (isExchange && replaced !== undefined) {
      move(batch, moved, source, target, now);
      move(batch, replaced, target, source, now);
    } else {
      if (replaced !== undefined) {
        dropLink(batch, replaced, now);
        if (replaced.isDirectory) countSubdirectory(batch.change(target.directory), -1);
      }
      let left: Entry = NO_ENTRY;
      if ((flags & RENAME_WHITEOUT) !== 0) {
        // A device 0/0, owned by the caller: in an overlay's upper directory it hides the name in lower directories.
        const { ino } = addInode(context, caller, batch, source.directory, WHITEOUT_MODE, now);
        left = entryOf(ino, kindOfMode(WHITEOUT_MODE));
      }
      batch.setName(source.directory, source.name, left);
      move(batch, moved, source, target, now);
    }
    touchModified(batch.change(source.directory), now);
    touchModified(batch.change(target.directory), now);
  });
}

/** Gives `inode` the name of `to`. The caller gives the name of `from` another entry, or none. */
function move(batch: Batch, inode: Inode, from: Place, to: Place, now: Timespec): void {
  batch.setName(to.directory, to.name, entryOf(inode.ino, kindOfMode(inode.record.mode)));
  const draft = batch.change(inode);
  touchChanged(draft, now);
  draft.parent = to.directory.ino;
  if (!inode.isDirectory || from.directory === to.directory) return;
  countSubdirectory(batch.change(from.directory), -1);
  countSubdirectory(batch.change(to.directory), 1);
}

function checkReplaceable(context: TreeContext, moved: Inode, replaced: Inode): void {
  if (moved.isDirectory && !replaced.isDirectory) throw new FsError('ENOTDIR');
  if (!moved.isDirectory && replaced.isDirectory) throw new FsError('EISDIR');
  if (replaced.isDirectory) requireEmpty(context, replaced);
}

/** True if `inode` is `ancestor` or lies below it. */
function isWithin(context: TreeContext, inode: Inode, ancestor: Inode): boolean {
  const { stack } = context;
  const seen = new Set<Inode>();
  for (let at = inode; at !== ancestor; at = stack.inode(at.record.parent)) {
    if (at.ino === stack.rootIno) return false;
    if (seen.has(at))
      throw new FsError('EIO', { note: `directory ${at.ino} is not below the root; run fsck` });
    seen.add(at);
  }
  return true;
}

// New inodes.

type NewFields = Readonly<Partial<Pick<DraftRecord, 'nlink' | 'rdev' | 'target'>>>;

/**
 * Makes an inode for `directory` and adds it to the batch. `mode` has its type bits, and the umask is not applied to it
 * yet.
 */
function addInode(
  context: TreeContext,
  caller: Caller,
  batch: Batch,
  directory: Inode,
  mode: number,
  now: Timespec,
  fields?: NewFields,
): Inode {
  const { stack } = context;
  const { uid, gid } = caller;
  const type = mode & S_IFMT;
  const inheritsGroup = (directory.record.mode & S_ISGID) !== 0;
  const draft: DraftRecord = newInodeRecord(
    {
      mode: inheritsGroup && type === S_IFDIR ? mode | S_ISGID : mode,
      uid,
      gid: inheritsGroup ? directory.record.gid : gid,
      nlink: 1,
    },
    now,
  );
  draft.parent = directory.ino;
  if (fields !== undefined) Object.assign(draft, fields);
  const inode = stack.newInode(draft);
  batch.create(inode);
  // Symlinks have no ACL, and the umask does not apply to them: symlink(7).
  if (type === S_IFLNK) return inode;
  const acl = aclOf(stack, directory, DEFAULT_ACL);
  if (acl === undefined) draft.mode &= ~caller.umask;
  else inheritAcl(batch, inode, draft, acl);
  return inode;
}

function inheritAcl(batch: Batch, inode: Inode, draft: DraftRecord, defaultAcl: Acl): void {
  const { mode, acl } = inherit(defaultAcl, draft.mode);
  const xattrs = new Map<string, Buffer>();
  if (inode.isDirectory) xattrs.set(DEFAULT_ACL, encodeAcl(defaultAcl));
  if (acl !== undefined) xattrs.set(ACCESS_ACL, encodeAcl(acl));
  draft.mode = mode;
  if (xattrs.size > 0) batch.setXattrs(inode, xattrs);
}

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: Name;
  readonly ino: number;
  /** DT_* of readdir(3). */
  readonly kind: number;
}
