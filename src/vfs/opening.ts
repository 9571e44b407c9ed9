/** open(2) and close(2): from a path to an open file. */
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
import type { Caller } from './caller.ts';
import type { TreeContext } from './context.ts';
import { setSize } from './file-data.ts';
import { create, createUnnamed } from './namespace.ts';
import { OpenFile } from './open-file.ts';
import { resolve, walk, walkToName } from './path-walk.ts';
import { R_OK, requireAccess, W_OK } from './permission.ts';

/** open(2), with O_TMPFILE. `mode` is masked by the default ACL of the directory, or else by the umask. */
export function open(
  context: TreeContext,
  caller: Caller,
  path: string,
  flags: number,
  mode: number,
): OpenFile {
  const fileMode = S_IFREG | (mode & 0o7777);
  if ((flags & O_TMPFILE) !== 0) {
    return openUnnamed(context, caller, resolve(context, caller, path, true), flags, fileMode, path);
  }
  context.stack.trim();
  const isCreating = (flags & O_CREAT) !== 0;
  if (isCreating && path.endsWith('/')) {
    // Only a directory can be meant, and open makes none.
    walkToName(context, caller, path);
    throw new FsError('EISDIR');
  }
  const isExclusive = isCreating && (flags & O_EXCL) !== 0;
  const follow = (flags & O_NOFOLLOW) === 0 && !isExclusive;
  const place = walk(context, caller, path, follow);
  if (place.inode === undefined) {
    if (!isCreating) throw new FsError('ENOENT');
    // A symlink whose target ends in a slash.
    if (place.hasTrailingSlash) throw new FsError('EISDIR');
    return opened(create(context, caller, place, fileMode), flags, path);
  }
  if (isExclusive) throw new FsError('EEXIST');
  return openExisting(context, caller, place.inode, flags, path);
}

/** Opens an inode that exists, and makes it empty with O_TRUNC. */
function openExisting(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  flags: number,
  path: string,
): OpenFile {
  if (inode.isSymlink) throw new FsError('ELOOP');
  if ((flags & O_DIRECTORY) !== 0 && !inode.isDirectory) throw new FsError('ENOTDIR');
  requireOpenable(context, caller, inode, flags);
  // An empty file too: open(2) marks its times even so.
  if ((flags & O_TRUNC) !== 0 && inode.isFile) setSize(context, caller, inode, 0);
  return opened(inode, flags, path);
}

/** A file without a name in the filesystem of `directory`. */
function openUnnamed(
  context: TreeContext,
  caller: Caller,
  directory: Inode,
  flags: number,
  mode: number,
  path: string,
): OpenFile {
  if (!directory.isDirectory) throw new FsError('ENOTDIR');
  if ((flags & O_ACCMODE) === O_RDONLY) throw new FsError('EINVAL');
  // It was counted as open when it was made.
  return new OpenFile(createUnnamed(context, caller, directory, mode), flags & ~O_DIRECTORY, path);
}

/** EBADF when it is closed already. */
export function close(context: TreeContext, file: OpenFile): void {
  const inode = file.requireOpen();
  file.isOpen = false;
  inode.openCount--;
  if (inode.record.nlink === 0) context.stack.releaseIfUnused(inode);
}

function requireOpenable(context: TreeContext, caller: Caller, inode: Inode, flags: number): void {
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
  requireAccess(context, caller, inode, mask);
}

function opened(inode: Inode, flags: number, path: string): OpenFile {
  inode.openCount++;
  return new OpenFile(inode, flags, path);
}
