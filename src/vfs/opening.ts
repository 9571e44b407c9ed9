/** open(2) and close(2): from a place, or from an inode, to an open file. */
import { FsError, S_IFREG } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import {
  O_ACCMODE,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
} from '../sys/index.ts';
import type { TreeContext } from './context.ts';
import { setSize } from './file-data.ts';
import { createAt, createUnnamedIn } from './namespace.ts';
import { OpenFile } from './open-file.ts';
import { type Place, resolve, walk, walkToName } from './path-walk.ts';
import { R_OK, requireAccess, W_OK } from './permission.ts';

/** open(2), with O_TMPFILE. `mode` is masked by the default ACL of the directory, or else by the umask. */
export function open(context: TreeContext, path: string, flags: number, mode: number): OpenFile {
  if ((flags & O_TMPFILE) !== 0) {
    return openUnnamedIn(context, resolve(context, path, true), flags, mode, path);
  }
  context.stack.trim();
  if ((flags & O_CREAT) !== 0 && path.endsWith('/')) {
    // Only a directory can be meant, and those are not made by open.
    walkToName(context, path);
    throw new FsError('EISDIR');
  }
  const follow = (flags & O_NOFOLLOW) === 0 && !isExclusive(flags);
  return openAt(context, walk(context, path, follow), flags, mode, path);
}

function isExclusive(flags: number): boolean {
  return (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0;
}

/** Opens what is at `place`, or creates it with O_CREAT. `path` is for messages. */
export function openAt(
  context: TreeContext,
  place: Place,
  flags: number,
  mode: number,
  path: string,
): OpenFile {
  const { inode } = place;
  if (inode === undefined) {
    if ((flags & O_CREAT) === 0) throw new FsError('ENOENT');
    // A symlink whose target ends in a slash.
    if (place.hasTrailingSlash) throw new FsError('EISDIR');
    return opened(createAt(context, place, S_IFREG | (mode & 0o7777)), flags, path);
  }
  if (isExclusive(flags)) throw new FsError('EEXIST');
  return openInode(context, inode, flags, path);
}

/** Opens an inode that exists, and makes it empty with O_TRUNC. */
export function openInode(context: TreeContext, inode: Inode, flags: number, path: string): OpenFile {
  if (inode.isSymlink) throw new FsError('ELOOP');
  if ((flags & O_DIRECTORY) !== 0 && !inode.isDirectory) throw new FsError('ENOTDIR');
  requireOpenable(context, inode, flags);
  // Also of an empty file: open(2) marks its times even so.
  if ((flags & O_TRUNC) !== 0 && inode.isFile) setSize(context, inode, 0);
  return opened(inode, flags, path);
}

/** A file without a name in the filesystem of `directory`, for O_TMPFILE. */
export function openUnnamedIn(
  context: TreeContext,
  directory: Inode,
  flags: number,
  mode: number,
  path: string,
): OpenFile {
  if (!directory.isDirectory) throw new FsError('ENOTDIR');
  if ((flags & O_ACCMODE) === O_RDONLY) throw new FsError('EINVAL');
  const inode = createUnnamedIn(context, directory, S_IFREG | (mode & 0o7777));
  // It was counted as open when it was made.
  return new OpenFile(inode, flags & ~O_DIRECTORY, path);
}

/** EBADF when it is closed already. */
export function close(context: TreeContext, file: OpenFile): void {
  if (!file.isOpen) throw new FsError('EBADF');
  const { inode } = file;
  file.isOpen = false;
  inode.openCount--;
  if (inode.record.nlink === 0) context.stack.releaseIfUnused(inode);
}

function requireOpenable(context: TreeContext, inode: Inode, flags: number): void {
  const access = flags & O_ACCMODE;
  const writes = access !== O_RDONLY || (flags & O_TRUNC) !== 0;
  if (inode.isDirectory && (writes || (flags & O_CREAT) !== 0)) throw new FsError('EISDIR');
  if (!inode.isDirectory && !inode.isFile) {
    throw new FsError('ENXIO', {
      note: 'devices, fifos and sockets are records here: open them on a mount',
    });
  }
  if (writes && context.stack.upper === undefined) throw new FsError('EROFS');
  const mask = (access === O_RDONLY ? R_OK : access === O_WRONLY ? W_OK : R_OK | W_OK) | (writes ? W_OK : 0);
  requireAccess(context, inode, mask);
}

function opened(inode: Inode, flags: number, path: string): OpenFile {
  inode.openCount++;
  return new OpenFile(inode, flags, path);
}
