/** Attributes: stat(2), chmod(2), chown(2), utimensat(2); the counts of statfs(2). */
import { BLOCK_SIZE, FsError, S_IFMT, S_ISGID, SECTORS_PER_BLOCK, type Timespec } from '../base/index.ts';
import type { DraftRecord, Inode } from '../layer/index.ts';
import { type Caller, isInGroup, isSuperuser, mayGiveGroup } from './caller.ts';
import { type TreeContext, touchChanged } from './context.ts';
import { isOwner, requireAccess, requireOwner, W_OK } from './permission.ts';
import { aclOf, withMode } from './posix-acl.ts';
import { encodeAcl } from './posix-acl-format.ts';
import { dropCapability, withoutSetId } from './privileges.ts';
import { ACCESS_ACL } from './xattr-names.ts';

/** The result of stat(2), as plain numbers. `blocks` are 512-byte units. */
export interface Attributes {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atimeSeconds: number;
  readonly atimeNanoseconds: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly ctimeSeconds: number;
  readonly ctimeNanoseconds: number;
  readonly birthSeconds: number;
  readonly birthNanoseconds: number;
}

/** Space and inodes of the filesystem that holds a store, as statfs(2) counts them. */
export interface SpaceCounts {
  /** The magic number of the filesystem's type. */
  readonly type: number;
  /** Bytes per block, the unit of `blocks`, `bfree` and `bavail`. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

/** A time to set: a given time, the current time, or no change. */
export type TimeChange = Timespec | 'now' | 'omit';

export function attributesOf(dev: number, inode: Inode): Attributes {
  const { record } = inode;
  return {
    dev,
    ino: inode.ino,
    mode: record.mode,
    nlink: record.nlink,
    uid: record.uid,
    gid: record.gid,
    rdev: record.rdev,
    // A directory takes one block, as on most filesystems, because programs treat a size of 0 as a special file.
    size: inode.isDirectory ? BLOCK_SIZE : inode.isSymlink ? record.target.length : record.size,
    blksize: BLOCK_SIZE,
    blocks: record.blocks * SECTORS_PER_BLOCK,
    atimeSeconds: record.atimeSeconds,
    atimeNanoseconds: record.atimeNanoseconds,
    mtimeSeconds: record.mtimeSeconds,
    mtimeNanoseconds: record.mtimeNanoseconds,
    ctimeSeconds: record.ctimeSeconds,
    ctimeNanoseconds: record.ctimeNanoseconds,
    birthSeconds: record.birthSeconds,
    birthNanoseconds: record.birthNanoseconds,
  };
}

/** chmod(2). An access ACL changes with the mode. */
export function changeMode(context: TreeContext, caller: Caller, inode: Inode, mode: number): void {
  const { stack } = context;
  stack.change((batch) => {
    requireOwner(caller, inode);
    let bits = mode & 0o7777;
    if (!inode.isDirectory && !mayGiveGroup(caller, inode.record.gid)) bits &= ~S_ISGID;
    const draft = batch.change(inode);
    draft.mode = (draft.mode & S_IFMT) | bits;
    const acl = aclOf(stack, inode, ACCESS_ACL);
    if (acl !== undefined) {
      batch.setXattrs(inode, new Map(stack.xattrsOf(inode)).set(ACCESS_ACL, encodeAcl(withMode(acl, bits))));
    }
    touchChanged(draft, context.now());
  });
}

function mayChangeOwner(caller: Caller, { record }: Inode, uid: number, gid: number): boolean {
  if (isSuperuser(caller)) return true;
  if (caller.uid !== record.uid) return false;
  if (uid !== -1 && uid !== record.uid) return false;
  return gid === -1 || gid === record.gid || isInGroup(caller, gid);
}

/**
 * chown(2). -1 leaves `uid` or `gid` as it is. Unless `keepsPrivileges`, a file loses set-user-ID, set-group-ID and
 * capabilities, whoever the caller is, as on Linux.
 */
export function changeOwner(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  uid: number,
  gid: number,
  keepsPrivileges = false,
): void {
  context.stack.change((batch) => {
    if (!mayChangeOwner(caller, inode, uid, gid)) throw new FsError('EPERM');
    const draft = batch.change(inode);
    if (uid !== -1) draft.uid = uid;
    if (gid !== -1) draft.gid = gid;
    if (!inode.isDirectory && !keepsPrivileges) {
      draft.mode = withoutSetId(draft.mode);
      dropCapability(context, batch, inode);
    }
    touchChanged(draft, context.now());
  });
}

/** The nearest time that can be stored, as in Linux (timestamp_truncate in fs/inode.c). */
function clamped(time: Timespec): Timespec {
  if (Number.isSafeInteger(time.seconds)) return time;
  return { seconds: Math.sign(time.seconds) * Number.MAX_SAFE_INTEGER, nanoseconds: 0 };
}

/** utimensat(2). */
export function changeTimes(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  atime: TimeChange,
  mtime: TimeChange,
): void {
  context.stack.change((batch) => {
    const isNow = (atime === 'now' || atime === 'omit') && (mtime === 'now' || mtime === 'omit');
    if (!isOwner(caller, inode)) {
      if (!isNow) throw new FsError('EPERM');
      requireAccess(context, caller, inode, W_OK);
    }
    const now = context.now();
    const draft = batch.change(inode);
    if (atime !== 'omit') {
      const time = atime === 'now' ? now : clamped(atime);
      draft.atimeSeconds = time.seconds;
      draft.atimeNanoseconds = time.nanoseconds;
    }
    if (mtime !== 'omit') {
      const time = mtime === 'now' ? now : clamped(mtime);
      draft.mtimeSeconds = time.seconds;
      draft.mtimeNanoseconds = time.nanoseconds;
    }
    touchChanged(draft, now);
  });
}

/**
 * Updates atime after a read by the rules of relatime, mount(8): only if atime is not later than both mtime and ctime,
 * or is a day old.
 */
export function noteAccess(context: TreeContext, inode: Inode): void {
  const { record } = inode;
  if (context.stack.upper === undefined || !context.keepsAccessTimes) return;
  const isAfterChanges =
    isAfter(record.atimeSeconds, record.atimeNanoseconds, record.mtimeSeconds, record.mtimeNanoseconds) &&
    isAfter(record.atimeSeconds, record.atimeNanoseconds, record.ctimeSeconds, record.ctimeNanoseconds);
  const now = isAfterChanges && context.stack.lazyTimes.has(inode) ? undefined : context.now();
  if (now === undefined || (isAfterChanges && now.seconds - record.atimeSeconds < 86_400)) return;
  // Change the record in place: it belongs to its inode alone, and no operation depends on the access time.
  const own = record as DraftRecord;
  own.atimeSeconds = now.seconds;
  own.atimeNanoseconds = now.nanoseconds;
  context.stack.lazyTimes.add(inode);
}

function isAfter(
  seconds: number,
  nanoseconds: number,
  otherSeconds: number,
  otherNanoseconds: number,
): boolean {
  return seconds > otherSeconds || (seconds === otherSeconds && nanoseconds > otherNanoseconds);
}
