/** Attributes: stat(2), chmod(2), chown(2), utimensat(2), xattr(7). */
import { BLOCK_SIZE, FsError, type Timespec } from '../base/index.ts';
import { type Inode, S_IFMT } from '../layer/index.ts';
import { type TreeContext, touchChanged } from './context.ts';
import {
  type Credentials,
  isInGroup,
  isOwner,
  requireAccess,
  requireOwner,
  S_ISGID,
  S_ISUID,
  W_OK,
} from './permission.ts';

/** What stat(2) says, as plain numbers. `blocks` are 512-byte units. */
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

/** A time to set: a moment, the present, or none (the time stays). */
export type TimeChange = Timespec | 'now' | 'omit';

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
const XATTR_NAME_BYTES_MAX = 255;
const XATTR_VALUE_BYTES_MAX = 65_536;

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
    // A directory takes a block, as on most filesystems; programs take size 0 for a special file.
    size: inode.isDirectory ? BLOCK_SIZE : inode.isSymlink ? record.target.length : record.size,
    blksize: BLOCK_SIZE,
    blocks: record.blocks * (BLOCK_SIZE / 512),
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

export function changeMode(context: TreeContext, inode: Inode, mode: number): void {
  const batch = context.stack.begin();
  requireOwner(context.credentials, inode);
  let bits = mode & 0o7777;
  const { credentials } = context;
  const outsideGroup =
    credentials !== undefined && credentials.uid !== 0 && !isInGroup(credentials, inode.record.gid);
  if (outsideGroup && !inode.isDirectory) bits &= ~S_ISGID;
  const draft = batch.change(inode);
  draft.mode = (draft.mode & S_IFMT) | bits;
  touchChanged(draft, context.now());
  context.stack.commit(batch);
}

function mayChangeOwner(
  credentials: Credentials | undefined,
  inode: Inode,
  uid: number,
  gid: number,
): boolean {
  if (credentials === undefined || credentials.uid === 0) return true;
  if (credentials.uid !== inode.record.uid) return false;
  if (uid !== -1 && uid !== inode.record.uid) return false;
  return gid === -1 || gid === inode.record.gid || isInGroup(credentials, gid);
}

/** `uid` or `gid` of -1 stays. Set-user-ID and set-group-ID bits of a file are cleared, as Linux does for everybody. */
export function changeOwner(context: TreeContext, inode: Inode, uid: number, gid: number): void {
  const batch = context.stack.begin();
  if (!mayChangeOwner(context.credentials, inode, uid, gid)) throw new FsError('EPERM');
  const draft = batch.change(inode);
  if (uid !== -1) draft.uid = uid;
  if (gid !== -1) draft.gid = gid;
  if (inode.isFile) draft.mode = withoutSetId(draft.mode);
  touchChanged(draft, context.now());
  context.stack.commit(batch);
}

/** The mode after set-user-ID and set-group-ID were cleared; S_ISGID stays where the group may not execute. */
export function withoutSetId(mode: number): number {
  const group = (mode & 0o010) !== 0 ? S_ISGID : 0;
  return mode & ~(S_ISUID | group);
}

export function changeTimes(context: TreeContext, inode: Inode, atime: TimeChange, mtime: TimeChange): void {
  const batch = context.stack.begin();
  const isNow = (atime === 'now' || atime === 'omit') && (mtime === 'now' || mtime === 'omit');
  if (!isOwner(context.credentials, inode)) {
    if (!isNow) throw new FsError('EPERM');
    requireAccess(context.credentials, inode, W_OK);
  }
  const now = context.now();
  const draft = batch.change(inode);
  if (atime !== 'omit') {
    const time = atime === 'now' ? now : atime;
    draft.atimeSeconds = time.seconds;
    draft.atimeNanoseconds = time.nanoseconds;
  }
  if (mtime !== 'omit') {
    const time = mtime === 'now' ? now : mtime;
    draft.mtimeSeconds = time.seconds;
    draft.mtimeNanoseconds = time.nanoseconds;
  }
  touchChanged(draft, now);
  context.stack.commit(batch);
}

/** Reading moves atime under the rule of relatime, mount(8): when it is not after mtime and ctime, or a day old. */
export function noteAccess(context: TreeContext, inode: Inode): void {
  const { record } = inode;
  if (context.stack.upper === undefined) return;
  const isAfterChanges =
    isAfter(record.atimeSeconds, record.atimeNanoseconds, record.mtimeSeconds, record.mtimeNanoseconds) &&
    isAfter(record.atimeSeconds, record.atimeNanoseconds, record.ctimeSeconds, record.ctimeNanoseconds);
  const now = isAfterChanges && context.stack.lazyTimes.has(inode) ? undefined : context.now();
  if (now === undefined || (isAfterChanges && now.seconds - record.atimeSeconds < 86_400)) return;
  inode.record = { ...record, atimeSeconds: now.seconds, atimeNanoseconds: now.nanoseconds };
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

// Extended attributes.

function checkXattrName(inode: Inode, name: string): void {
  if (name.length > XATTR_NAME_BYTES_MAX || name.length === 0) throw new FsError('ERANGE');
  const namespace = name.slice(0, name.indexOf('.') + 1);
  if (
    !['user.', 'trusted.', 'security.', 'system.'].includes(namespace) ||
    name.length === namespace.length
  ) {
    throw new FsError('ENOTSUP', { note: 'a name begins with user., trusted., security. or system.' });
  }
  if (namespace === 'user.' && !inode.isFile && !inode.isDirectory) throw new FsError('EPERM');
}

/** ENODATA when there is no such attribute. */
export function getXattr(context: TreeContext, inode: Inode, name: string): Buffer {
  checkXattrName(inode, name);
  const value = context.stack.xattrsOf(inode).get(name);
  if (value === undefined) throw new FsError('ENODATA');
  return Buffer.from(value);
}

/** EEXIST with XATTR_CREATE, ENODATA with XATTR_REPLACE, E2BIG over 64 KiB. */
export function setXattr(
  context: TreeContext,
  inode: Inode,
  name: string,
  value: Uint8Array,
  flags: number,
): void {
  const batch = context.stack.begin();
  checkXattrName(inode, name);
  requireXattrAccess(context.credentials, inode, name);
  if (value.length > XATTR_VALUE_BYTES_MAX) throw new FsError('E2BIG');
  const before = context.stack.xattrsOf(inode);
  if ((flags & XATTR_CREATE) !== 0 && before.has(name)) throw new FsError('EEXIST');
  if ((flags & XATTR_REPLACE) !== 0 && !before.has(name)) throw new FsError('ENODATA');
  const after = new Map(before).set(name, Buffer.from(value));
  touchChanged(batch.change(inode), context.now());
  batch.setXattrs(inode, after);
  context.stack.commit(batch);
}

export function removeXattr(context: TreeContext, inode: Inode, name: string): void {
  const batch = context.stack.begin();
  checkXattrName(inode, name);
  requireXattrAccess(context.credentials, inode, name);
  const after = new Map(context.stack.xattrsOf(inode));
  if (!after.delete(name)) throw new FsError('ENODATA');
  touchChanged(batch.change(inode), context.now());
  batch.setXattrs(inode, after);
  context.stack.commit(batch);
}

function requireXattrAccess(credentials: Credentials | undefined, inode: Inode, name: string): void {
  if (credentials === undefined || credentials.uid === 0) return;
  if (name.startsWith('user.')) requireAccess(credentials, inode, W_OK);
  else requireOwner(credentials, inode);
}
