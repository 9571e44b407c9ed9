/** Resolves a path to an inode: path_resolution(7), with symlinks and `..`. */
import { FsError, NAME_BYTES_MAX, type Name, PATH_BYTES_MAX, SYMLINKS_MAX } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { NO_ENTRY } from '../lower/index.ts';
import type { Caller } from './caller.ts';
import type { TreeContext } from './context.ts';
import { directoryNames } from './inode-path.ts';
import { requireAccess, X_OK } from './permission.ts';

const SLASH = 47;

/** The last component of a path: a name, or a component that has no entry of its own. */
type LastComponent = 'name' | 'dot' | 'dotdot' | 'root';

/** The result of a walk. `inode` is undefined when only the last name is missing. */
export interface Place {
  /** The directory that holds the last name; the inode itself when the path ends in `.`, `..` or `/`. */
  readonly directory: Inode;
  readonly name: Name;
  readonly inode: Inode | undefined;
  readonly last: LastComponent;
  /** True: the path ended in '/', so only a directory will do. */
  readonly hasTrailingSlash: boolean;
}

/**
 * Resolves `path` from the root. Follows a final symlink where `follow` is set or a slash comes after its name. ENOENT
 * (a directory on the way is missing, or the path is empty), ENOTDIR, ELOOP, ENAMETOOLONG, EACCES.
 */
export function walk(context: TreeContext, caller: Caller, path: string, follow: boolean): Place {
  return walkPath(context, caller, path, follow, false);
}

/**
 * Like `walk`, for operations on names (create, remove, rename): never follows a symlink under the last name, and
 * reports a slash after the name only as `hasTrailingSlash`.
 */
export function walkToName(context: TreeContext, caller: Caller, path: string): Place {
  const place = walkToAnyName(context, caller, path);
  requireNameLength(place.name);
  return place;
}

/**
 * Like `walkToName`, but a last name that is too long counts as missing: rename(2) finds both directories before it
 * looks at either name. The caller then calls `requireNameLength`.
 */
export function walkToAnyName(context: TreeContext, caller: Caller, path: string): Place {
  return walkPath(context, caller, path, false, true);
}

/** ENAMETOOLONG for a name of more than 255 bytes. */
export function requireNameLength(name: Name): void {
  if (name.length > NAME_BYTES_MAX) throw new FsError('ENAMETOOLONG');
}

function walkPath(
  context: TreeContext,
  caller: Caller,
  path: string,
  follow: boolean,
  isName: boolean,
): Place {
  if (path.length === 0) throw new FsError('ENOENT');
  if (path.length >= PATH_BYTES_MAX) throw new FsError('ENAMETOOLONG');
  const { stack } = context;
  let rest = path;
  let directory = stack.root;
  let links = 0;
  let at = 0;
  let last: LastComponent = 'root';
  for (;;) {
    while (rest.charCodeAt(at) === SLASH) at++;
    if (at >= rest.length) {
      return { directory, name: '' as Name, inode: directory, last, hasTrailingSlash: true };
    }
    let end = rest.indexOf('/', at);
    if (end < 0) end = rest.length;
    const name = rest.slice(at, end) as Name;
    let next = end;
    while (rest.charCodeAt(next) === SLASH) next++;
    const isLast = next >= rest.length;
    if (!directory.isDirectory) throw new FsError('ENOTDIR');
    requireAccess(context, caller, directory, X_OK);
    if (name === '.' || name === '..') {
      last = name === '.' ? 'dot' : 'dotdot';
      if (name === '..' && directory.ino !== stack.rootIno) directory = stack.inode(directory.record.parent);
      at = next;
      continue;
    }
    const hasTrailingSlash = isLast && next > end;
    if (name.length > NAME_BYTES_MAX) {
      if (!isLast || !isName) throw new FsError('ENAMETOOLONG');
      return { directory, name, inode: undefined, last: 'name', hasTrailingSlash };
    }
    const entry = stack.lookup(directory, name);
    if (entry === NO_ENTRY) {
      if (!isLast) throw new FsError('ENOENT');
      return { directory, name, inode: undefined, last: 'name', hasTrailingSlash };
    }
    const inode = stack.child(directory, name, entry);
    if (inode.isSymlink && (!isLast || follow || (hasTrailingSlash && !isName))) {
      if (++links > SYMLINKS_MAX) throw new FsError('ELOOP');
      const { target } = inode.record;
      rest = isLast && !hasTrailingSlash ? target : target + rest.slice(end);
      if (target.charCodeAt(0) === SLASH) directory = stack.root;
      at = 0;
      last = 'root';
      continue;
    }
    if (isLast) {
      if (hasTrailingSlash && !isName && !inode.isDirectory) throw new FsError('ENOTDIR');
      return { directory, name, inode, last: 'name', hasTrailingSlash };
    }
    directory = inode;
    at = next;
  }
}

/**
 * The place of a name in a directory, for callers that resolve paths themselves, like the kernel for a mount. ENOTDIR,
 * ENAMETOOLONG, EACCES; EINVAL for `.`, `..` and everything else that is not a name.
 */
export function placeIn(context: TreeContext, caller: Caller, directory: Inode, name: Name): Place {
  if (!directory.isDirectory) throw new FsError('ENOTDIR');
  if (name.length === 0 || name === '.' || name === '..' || name.includes('/')) throw new FsError('EINVAL');
  requireAccess(context, caller, directory, X_OK);
  requireNameLength(name);
  const entry = context.stack.lookup(directory, name);
  const inode = entry === NO_ENTRY ? undefined : context.stack.child(directory, name, entry);
  return { directory, name, inode, last: 'name', hasTrailingSlash: false };
}

/** The inode that `path` leads to. ENOENT when there is none. */
export function resolve(context: TreeContext, caller: Caller, path: string, follow: boolean): Inode {
  const { inode } = walk(context, caller, path, follow);
  if (inode === undefined) throw new FsError('ENOENT');
  return inode;
}

/** realpath(3): the path with every symlink, `.` and `..` resolved. */
export function realPath(context: TreeContext, caller: Caller, path: string): string {
  const { inode, directory, name, last } = walk(context, caller, path, true);
  if (inode === undefined) throw new FsError('ENOENT');
  const names = directoryNames(context.stack, directory);
  if (last === 'name') names.push(name);
  return `/${names.join('/')}`;
}
