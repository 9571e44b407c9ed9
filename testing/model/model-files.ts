/** The operations on one tree of the model: the rules of Linux on naive data. `NOW` is a time that no caller set. */
import type { ModelInode, ModelPlace, ModelTree } from './model-tree.ts';
import { ModelError } from './model-tree.ts';

const NOW = Number.POSITIVE_INFINITY;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const GROUP_EXECUTE = 0o010;
const BLOCK = 4096;

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;

function requireWritableTree(tree: ModelTree): void {
  if (tree.isReadOnly) throw new ModelError('EROFS');
}

/** A new inode under the free name of `place`. */
export function create(
  tree: ModelTree,
  place: ModelPlace,
  kind: ModelInode['kind'],
  mode: number,
  target = '',
): ModelInode {
  requireWritableTree(tree);
  const { directory } = place;
  const inherits = (directory.mode & S_ISGID) !== 0;
  const permissions = kind === 'symlink' ? 0o777 : mode & ~tree.user.umask;
  const inode = tree.add(kind, permissions, inherits ? directory.gid : tree.user.gid, target);
  if (kind === 'directory') {
    inode.nlink = 2;
    inode.parent = directory.ino;
    if (inherits) inode.mode |= S_ISGID;
    directory.nlink++;
  }
  directory.entries.set(place.name, inode.ino);
  directory.mtimeSeconds = NOW;
  return inode;
}

/** The place of a name that must be free. EEXIST. */
export function freePlace(tree: ModelTree, path: string): ModelPlace {
  const place = tree.walk(path, false);
  if (place.inode !== undefined) throw new ModelError('EEXIST');
  return place;
}

/** open(2) for writing. Makes a missing file, and empties the file if `truncates`. */
export function openForWriting(tree: ModelTree, path: string, mode: number, truncates: boolean): ModelInode {
  const place = tree.walk(path, true);
  if (place.inode === undefined) return create(tree, place, 'file', mode);
  requireOpenable(place.inode, true);
  requireWritableTree(tree);
  if (truncates) setSize(place.inode, 0);
  return place.inode;
}

/** open(2) of an existing file. */
export function openExisting(tree: ModelTree, path: string, writes: boolean): ModelInode {
  const inode = tree.resolve(path, true);
  requireOpenable(inode, writes);
  if (writes) requireWritableTree(tree);
  return inode;
}

function requireOpenable({ kind }: ModelInode, writes: boolean): void {
  if (writes && kind === 'directory') throw new ModelError('EISDIR');
  if (kind === 'whiteout') throw new ModelError('ENXIO');
}

export function requireFile(inode: ModelInode): ModelInode {
  if (inode.kind === 'directory') throw new ModelError('EISDIR');
  return inode;
}

export function setSize(inode: ModelInode, size: number): void {
  const content = Buffer.alloc(size);
  inode.content.copy(content, 0, 0, Math.min(size, inode.content.length));
  inode.content = content;
  inode.mtimeSeconds = NOW;
}

export function write(inode: ModelInode, bytes: Uint8Array, position: number): void {
  if (bytes.length === 0) return;
  if (position + bytes.length > inode.content.length) setSize(inode, position + bytes.length);
  inode.content.set(bytes, position);
  inode.mtimeSeconds = NOW;
}

export function punch(inode: ModelInode, position: number, length: number): void {
  inode.content.subarray(position, position + length).fill(0);
  inode.mtimeSeconds = NOW;
}

/** truncate(2). */
export function truncate(tree: ModelTree, path: string, size: number): void {
  const inode = tree.resolve(path, true);
  if (inode.kind === 'whiteout') throw new ModelError('EINVAL');
  requireOpenable(inode, true);
  requireWritableTree(tree);
  setSize(inode, size);
}

/** FICLONE as Ramet does it: the target gets the whole content of the source. */
export function clone(source: ModelInode, target: ModelInode): void {
  if (source === target) return;
  if (target.content.length > 0 || source.content.length > 0) target.mtimeSeconds = NOW;
  target.content = Buffer.from(source.content);
}

/** FICLONERANGE within one tree, ioctl_ficlonerange(2). */
export function cloneRange(
  source: ModelInode,
  fromPosition: number,
  length: number,
  target: ModelInode,
  position: number,
): void {
  const sourceSize = source.content.length;
  const bytes = length === 0 ? sourceSize - fromPosition : length;
  const end = fromPosition + bytes;
  const targetEnd = position + bytes;
  if (bytes < 0 || end > sourceSize) throw new ModelError('EINVAL');
  if (fromPosition % BLOCK !== 0 || position % BLOCK !== 0) throw new ModelError('EINVAL');
  const reachesEnd = end === sourceSize && targetEnd >= target.content.length;
  if (bytes % BLOCK !== 0 && !reachesEnd) throw new ModelError('EINVAL');
  if (source === target && fromPosition < targetEnd && position < end) throw new ModelError('EINVAL');
  write(target, Buffer.from(source.content.subarray(fromPosition, end)), position);
}

function dropLink(inode: ModelInode): void {
  inode.nlink = inode.kind === 'directory' ? 0 : inode.nlink - 1;
}

export function unlink(tree: ModelTree, path: string): void {
  const { directory, name, inode } = tree.walk(path, false);
  if (inode === undefined) throw new ModelError('ENOENT');
  if (inode.kind === 'directory') throw new ModelError('EISDIR');
  requireWritableTree(tree);
  dropLink(inode);
  directory.entries.delete(name);
  directory.mtimeSeconds = NOW;
}

export function removeDirectory(tree: ModelTree, path: string): void {
  const { directory, name, inode } = tree.walk(path, false);
  if (inode === undefined) throw new ModelError('ENOENT');
  if (inode.kind !== 'directory') throw new ModelError('ENOTDIR');
  if (inode.entries.size > 0) throw new ModelError('ENOTEMPTY');
  requireWritableTree(tree);
  dropLink(inode);
  directory.entries.delete(name);
  directory.nlink--;
  directory.mtimeSeconds = NOW;
}

export function link(tree: ModelTree, path: string, to: string): void {
  const inode = tree.resolve(path, false);
  const place = freePlace(tree, to);
  if (inode.kind === 'directory') throw new ModelError('EPERM');
  requireWritableTree(tree);
  inode.nlink++;
  place.directory.entries.set(place.name, inode.ino);
  place.directory.mtimeSeconds = NOW;
}

/** Whether `inode` is `ancestor` or below it. */
function isWithin(tree: ModelTree, inode: ModelInode, ancestor: ModelInode): boolean {
  for (let at = inode; at !== ancestor; at = tree.inodeOf(at.parent)) {
    if (at === tree.root) return false;
  }
  return true;
}

export type RenameKind = 'rename' | 'exchange' | 'whiteout';

/** rename(2), and renameat2(2) with RENAME_EXCHANGE or RENAME_WHITEOUT. */
export function rename(tree: ModelTree, from: string, to: string, kind: RenameKind): void {
  const exchanges = kind === 'exchange';
  const source = tree.parentOf(from);
  const target = tree.parentOf(to);
  const moved = tree.lookup(source.directory, source.name);
  if (moved === undefined) throw new ModelError('ENOENT');
  const replaced = tree.lookup(target.directory, target.name);
  if (exchanges && replaced === undefined) throw new ModelError('ENOENT');
  if (moved.kind === 'directory' && isWithin(tree, target.directory, moved)) throw new ModelError('EINVAL');
  if (replaced?.kind === 'directory' && isWithin(tree, source.directory, replaced)) {
    throw new ModelError(exchanges ? 'EINVAL' : 'ENOTEMPTY');
  }
  if (moved === replaced) return;
  requireWritableTree(tree);
  if (!exchanges && replaced !== undefined) removeReplaced(moved, replaced, target);
  source.directory.entries.delete(source.name);
  if (kind === 'whiteout') create(tree, { ...source, inode: undefined }, 'whiteout', 0);
  put(moved, source, target);
  if (exchanges && replaced !== undefined) put(replaced, target, source);
  source.directory.mtimeSeconds = NOW;
  target.directory.mtimeSeconds = NOW;
}

/** A name in a directory, taken or not. */
type ModelName = Pick<ModelPlace, 'directory' | 'name'>;

function removeReplaced(moved: ModelInode, replaced: ModelInode, target: ModelName): void {
  const isDirectory = replaced.kind === 'directory';
  if (moved.kind === 'directory' && !isDirectory) throw new ModelError('ENOTDIR');
  if (moved.kind !== 'directory' && isDirectory) throw new ModelError('EISDIR');
  if (replaced.entries.size > 0) throw new ModelError('ENOTEMPTY');
  dropLink(replaced);
  if (isDirectory) target.directory.nlink--;
}

function put(inode: ModelInode, from: ModelName, to: ModelName): void {
  to.directory.entries.set(to.name, inode.ino);
  if (inode.kind !== 'directory' || from.directory === to.directory) return;
  inode.parent = to.directory.ino;
  from.directory.nlink--;
  to.directory.nlink++;
}

export function changeOwner(inode: ModelInode, uid: number, gid: number): void {
  inode.uid = uid;
  inode.gid = gid;
  if (inode.kind !== 'file') return;
  const group = (inode.mode & GROUP_EXECUTE) !== 0 ? S_ISGID : 0;
  inode.mode &= ~(S_ISUID | group);
}

/** xattr(7): only files and directories can have `user.` attributes. */
function requireXattrs({ kind }: ModelInode, name: string): void {
  if (kind === 'whiteout' && name.startsWith('user.')) throw new ModelError('EPERM');
}

export function setXattr(inode: ModelInode, name: string, value: Buffer, flags: number): void {
  requireXattrs(inode, name);
  if ((flags & XATTR_CREATE) !== 0 && inode.xattrs.has(name)) throw new ModelError('EEXIST');
  if ((flags & XATTR_REPLACE) !== 0 && !inode.xattrs.has(name)) throw new ModelError('ENODATA');
  inode.xattrs.set(name, value);
}

export function removeXattr(inode: ModelInode, name: string): void {
  requireXattrs(inode, name);
  if (!inode.xattrs.delete(name)) throw new ModelError('ENODATA');
}

export { requireWritableTree };
