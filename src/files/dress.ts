/** Sets owner, extended attributes, mode and times of a file, in the only order in which no step undoes another. */
import { isSymlinkMode, S_ISGID, S_ISUID, type Timespec } from '../base/index.ts';
import type { Attributes, TreeFiles } from '../vfs/index.ts';

/** A file whose attributes `dress` sets. */
export interface Wearer {
  chown(uid: number, gid: number): void;
  setXattr(name: string, value: Buffer): void;
  /** `dress` does not call this for a symlink. */
  chmod(mode: number): void;
  setTimes(atime: Timespec, mtime: Timespec): void;
}

export type Xattrs = Iterable<readonly [name: string, value: Buffer]>;

/** Decides which failed calls `dress` tolerates. Without a tolerance, `dress` throws every error. */
export interface Tolerance {
  /** Throws the error, or returns true if the file has the wanted owner nevertheless. */
  readonly owner?: (error: unknown) => boolean;
  /** Throws the error, or ignores it by returning. */
  readonly xattr?: (error: unknown, name: string) => void;
}

/**
 * Sets the owner first (chown clears set-user-ID and file capabilities), then extended attributes (they need write
 * permission, which the mode may remove), then the mode, and the times last. If a file did not get the wanted owner, it
 * gets no set-user-ID and set-group-ID either.
 */
export function dress(wearer: Wearer, wanted: Attributes, xattrs: Xattrs, tolerance?: Tolerance): void {
  const isOwned = own(wearer, wanted, tolerance);
  for (const [name, value] of xattrs) setXattr(wearer, name, value, tolerance);
  if (!isSymlinkMode(wanted.mode))
    wearer.chmod(wanted.mode & 0o7777 & (isOwned ? 0o7777 : ~(S_ISUID | S_ISGID)));
  const { atime, mtime } = timesOf(wanted);
  wearer.setTimes(atime, mtime);
}

function own(wearer: Wearer, { uid, gid }: Attributes, tolerance?: Tolerance): boolean {
  try {
    wearer.chown(uid, gid);
    return true;
  } catch (error) {
    if (tolerance?.owner === undefined) throw error;
    return tolerance.owner(error);
  }
}

function setXattr(wearer: Wearer, name: string, value: Buffer, tolerance?: Tolerance): void {
  try {
    wearer.setXattr(name, value);
  } catch (error) {
    if (tolerance?.xattr === undefined) throw error;
    tolerance.xattr(error, name);
  }
}

/** Makes each call through `naming`, which adds the system call and the path to errors. */
export function namedWearer(wearer: Wearer, naming: (syscall: string, call: () => void) => void): Wearer {
  return {
    chown: (uid, gid) => naming('lchown', () => wearer.chown(uid, gid)),
    setXattr: (name, value) => naming('lsetxattr', () => wearer.setXattr(name, value)),
    chmod: (mode) => naming('chmod', () => wearer.chmod(mode)),
    setTimes: (atime, mtime) => naming('utimensat', () => wearer.setTimes(atime, mtime)),
  };
}

/** The `Wearer` for a file of any tree, by path. Only its chmod follows a symlink. */
export function wearerAt(files: TreeFiles, path: string): Wearer {
  return {
    chown: (uid, gid) => files.chown(path, uid, gid, false),
    setXattr: (name, value) => files.setXattr(path, name, value, 0, false),
    chmod: (mode) => files.chmod(path, mode, true),
    setTimes: (atime, mtime) => files.setTimes(path, atime, mtime, false),
  };
}

export function* xattrsOf(files: TreeFiles, path: string): Xattrs {
  for (const name of files.listXattrs(path, false)) yield [name, files.getXattr(path, name, false)];
}

export function timesOf(attributes: Attributes): { readonly atime: Timespec; readonly mtime: Timespec } {
  return {
    atime: { seconds: attributes.atimeSeconds, nanoseconds: attributes.atimeNanoseconds },
    mtime: { seconds: attributes.mtimeSeconds, nanoseconds: attributes.mtimeNanoseconds },
  };
}
