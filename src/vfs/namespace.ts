/**
 * Names: creating, removing, renaming, linking. Each function is one operation, journalled as one record, at places
 * that were found already: by a walk along a path, or by `placeIn` where one name was looked up at a time.
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
  type Timespec,
} from '../base/index.ts';
import type { Batch, DraftRecord, Inode } from '../layer/index.ts';
import { type Entry, entryOf, NO_ENTRY, WHITEOUT_MODE } from '../lower/index.ts';
import type { Caller } from './caller.ts';
import { type TreeContext, touchChanged, touchModified } from './context.ts';
import { addInode, type NewFields } from './new-inode.ts';
import { type Place, requireNameLength } from './path-walk.ts';
import { requireAccess, requireRemoval, W_OK, X_OK } from './permission.ts';

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;

/** EEXIST unless the name of `place` is free. */
function requireFree(place: Place): void {
  if (place.inode !== undefined) throw new FsError('EEXIST');
}

/** As `requireFree`, and ENOENT when the path ended in a slash: only a directory could have been meant. */
function requireFreeForFile(place: Place): void {
  requireFree(place);
  if (place.hasTrailingSlash) throw new FsError('ENOENT');
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

/** A new inode under a free name. `mode` has its type bits. EEXIST. */
export function create(
  context: TreeContext,
  caller: Caller,
  place: Place,
  mode: number,
  fields?: NewFields,
): Inode {
  requireFree(place);
  const { stack } = context;
  return stack.change((batch) => {
    const { directory, name } = place;
    requireAddition(context, caller, directory);
    const now = context.now();
    const inode = addInode(context, caller, batch, directory, mode, now, fields);
    batch.setName(directory, name, entryOf(inode.ino, kindOfMode(mode)));
    touchModified(batch.change(directory), now);
    return inode;
  });
}

/**
 * A new inode without a name, for O_TMPFILE. It counts as open before it is committed: it lives only while it is open.
 * `mode` has its type bits.
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
  requireFree(place);
  const { stack } = context;
  return stack.change((batch) => {
    const { directory, name } = place;
    requireAddition(context, caller, directory);
    const now = context.now();
    const inode = addInode(context, caller, batch, directory, S_IFDIR | (mode & 0o1777), now, { nlink: 2 });
    inode.children = new Map();
    inode.isComplete = true;
    batch.setName(directory, name, entryOf(inode.ino, kindOfMode(S_IFDIR)));
    const draft = batch.change(directory);
    countSubdirectory(draft, 1);
    touchModified(draft, now);
    return inode;
  });
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
  requireFreeForFile(place);
  return create(context, caller, place, mode, { rdev });
}

const NODE_TYPES: ReadonlySet<number> = new Set([S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK]);

/** EINVAL unless `mode` has the type bits of something that mknod(2) makes. */
export function requireNodeType(mode: number): void {
  if (!NODE_TYPES.has(mode & S_IFMT)) throw new FsError('EINVAL');
}

export function symlink(context: TreeContext, caller: Caller, place: Place, target: string): Inode {
  requireTarget(target);
  requireFreeForFile(place);
  return create(context, caller, place, S_IFLNK | 0o777, { target });
}

/** ENOENT or ENAMETOOLONG for what cannot be the target of a symlink. */
export function requireTarget(target: string): void {
  if (target.length === 0) throw new FsError('ENOENT');
  if (target.length >= PATH_BYTES_MAX) throw new FsError('ENAMETOOLONG');
}

/** Also for an inode without a name, as O_TMPFILE makes one. */
export function link(context: TreeContext, caller: Caller, inode: Inode, place: Place): void {
  const { stack } = context;
  requireFreeForFile(place);
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
  const { inode, directory } = place;
  if (inode === undefined) throw new FsError('ENOENT');
  if (inode.isDirectory) throw new FsError('EISDIR');
  if (place.hasTrailingSlash) throw new FsError('ENOTDIR');
  context.stack.change((batch) => {
    requireRemoval(context, caller, directory, inode);
    const now = context.now();
    dropLink(batch, inode, now);
    batch.setName(directory, place.name, NO_ENTRY);
    touchModified(batch.change(directory), now);
  });
}

export function removeDirectory(context: TreeContext, caller: Caller, place: Place): void {
  const { inode, directory } = place;
  if (inode === undefined) throw new FsError('ENOENT');
  if (!inode.isDirectory) throw new FsError('ENOTDIR');
  if (place.last === 'dot') throw new FsError('EINVAL');
  if (place.last === 'dotdot') throw new FsError('ENOTEMPTY');
  if (place.last === 'root' || inode.ino === context.stack.rootIno) throw new FsError('EBUSY');
  context.stack.change((batch) => {
    requireRemoval(context, caller, directory, inode);
    if (context.stack.list(inode).size > 0) throw new FsError('ENOTEMPTY');
    const now = context.now();
    dropLink(batch, inode, now);
    batch.setName(directory, place.name, NO_ENTRY);
    const draft = batch.change(directory);
    countSubdirectory(draft, -1);
    touchModified(draft, now);
  });
}

/**
 * A directory's link count follows its subdirectories, unless it is 1: then they are not counted, as on btrfs. It never
 * falls below 2 (0: the directory is gone), even when one goes that a host tree had gained uncounted.
 */
function countSubdirectory(draft: DraftRecord, by: 1 | -1): void {
  if (draft.nlink >= 2) draft.nlink = Math.max(2, draft.nlink + by);
}

/** Takes one name from the link count; a directory, which has only one, loses its own `.` with it. */
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
    requireReparenting(context, caller, source, target, moved);
    if (replaced !== undefined && !isExchange) checkReplaceable(context, moved, replaced);
    const now = context.now();
    if (isExchange && replaced !== undefined) {
      place(batch, moved, source, target, now);
      place(batch, replaced, target, source, now);
    } else {
      if (replaced !== undefined) {
        dropLink(batch, replaced, now);
        if (replaced.isDirectory) countSubdirectory(batch.change(target.directory), -1);
      }
      const left =
        (flags & RENAME_WHITEOUT) === 0 ? NO_ENTRY : addWhiteout(context, caller, batch, source, now);
      batch.setName(source.directory, source.name, left);
      place(batch, moved, source, target, now);
    }
    touchModified(batch.change(source.directory), now);
    touchModified(batch.change(target.directory), now);
  });
}

/** A device 0/0, owned by the caller, for the old name: in an overlay's upper directory it hides what is below. */
function addWhiteout(
  context: TreeContext,
  caller: Caller,
  batch: Batch,
  { directory }: Place,
  now: Timespec,
): Entry {
  return entryOf(
    addInode(context, caller, batch, directory, WHITEOUT_MODE, now).ino,
    kindOfMode(WHITEOUT_MODE),
  );
}

/** Puts `inode`, so far at `from`, under the name of `to`. */
function place(batch: Batch, inode: Inode, from: Place, to: Place, now: Timespec): void {
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
  if (replaced.isDirectory && context.stack.list(replaced).size > 0) throw new FsError('ENOTEMPTY');
}

/** Moving a directory to another parent changes its `..`, so it needs write permission on the directory itself. */
function requireReparenting(
  context: TreeContext,
  caller: Caller,
  source: Place,
  target: Place,
  moved: Inode,
): void {
  if (!moved.isDirectory || source.directory === target.directory) return;
  requireAccess(context, caller, moved, W_OK);
}

/** Whether `inode` is `ancestor` or below it. */
function isWithin(context: TreeContext, inode: Inode, ancestor: Inode): boolean {
  const { stack } = context;
  let at = inode;
  while (at !== ancestor) {
    if (at.ino === stack.rootIno) return false;
    at = stack.inode(at.record.parent);
  }
  return true;
}

/** A name of a listing, with its inode number and kind. */
export interface DirectoryEntry {
  readonly name: Name;
  readonly ino: number;
  /** DT_* of readdir(3). */
  readonly kind: number;
}
