/** Open files: open(2), close(2), and the flags that a file was opened with. */
import { FsError, S_IFREG } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import {
  O_ACCMODE,
  O_APPEND,
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
import type { FileData } from './file-data.ts';
import { create, createUnnamed } from './namespace.ts';
import { resolve, walk, walkToName } from './path-walk.ts';
import { R_OK, requireAccess, W_OK } from './permission.ts';

/**
 * An open file description. It belongs to the tree's inode, not to a file in a layer. So it sees every later write, and
 * stays usable after the last name is removed.
 */
export class OpenFile {
  readonly inode: Inode;
  readonly flags: number;
  /** The path by which the file was opened, for messages. */
  readonly path: string;
  /** Where the next read or write without an explicit position begins, in bytes. */
  position = 0;
  isOpen = true;

  constructor(inode: Inode, flags: number, path: string) {
    this.inode = inode;
    this.flags = flags;
    this.path = path;
  }

  /** EBADF when the file is closed. */
  requireOpen(): Inode {
    if (!this.isOpen) throw new FsError('EBADF');
    return this.inode;
  }

  /** EBADF unless the file is open for reading. */
  requireReadable(): Inode {
    if (!this.isOpen || (this.flags & O_ACCMODE) === O_WRONLY) throw new FsError('EBADF');
    return this.inode;
  }

  /** EBADF unless the file is open for writing. */
  requireWritable(): Inode {
    if (!this.isOpen || !this.canWrite) throw new FsError('EBADF');
    return this.inode;
  }

  get canWrite(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY;
  }

  get isAppending(): boolean {
    return (this.flags & O_APPEND) !== 0;
  }
}

/** open(2), with O_TMPFILE. `mode` is masked by the default ACL of the directory, or else by the umask. */
export function open(data: FileData, caller: Caller, path: string, flags: number, mode: number): OpenFile {
  const { context } = data;
  const fileMode = S_IFREG | (mode & 0o7777);
  if ((flags & O_TMPFILE) !== 0) {
    const directory = resolve(context, caller, path, true);
    if (!directory.isDirectory) throw new FsError('ENOTDIR');
    if ((flags & O_ACCMODE) === O_RDONLY) throw new FsError('EINVAL');
    // `createUnnamed` has counted the file as open.
    return new OpenFile(createUnnamed(context, caller, directory, fileMode), flags & ~O_DIRECTORY, path);
  }
  context.stack.trim();
  const isCreating = (flags & O_CREAT) !== 0;
  if (isCreating && path.endsWith('/')) {
    // The path names a directory, which open(2) does not create.
    walkToName(context, caller, path);
    throw new FsError('EISDIR');
  }
  const isExclusive = isCreating && (flags & O_EXCL) !== 0;
  const follow = (flags & O_NOFOLLOW) === 0 && !isExclusive;
  const place = walk(context, caller, path, follow);
  if (place.inode === undefined) {
    if (!isCreating) throw new FsError('ENOENT');
    // The path leads to a symlink whose target ends in a slash.
    if (place.hasTrailingSlash) throw new FsError('EISDIR');
    return opened(create(context, caller, place, fileMode), flags, path);
  }
  if (isExclusive) throw new FsError('EEXIST');
  const { inode } = place;
  if (inode.isSymlink) throw new FsError('ELOOP');
  if ((flags & O_DIRECTORY) !== 0 && !inode.isDirectory) throw new FsError('ENOTDIR');
  requireOpenable(context, caller, inode, flags);
  // An empty file is truncated too, because open(2) changes its times.
  if ((flags & O_TRUNC) !== 0 && inode.isFile) data.setSize(caller, inode, 0);
  return opened(inode, flags, path);
}

/** EBADF when the file is already closed. */
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
