/** The first record of a new inode. */
import type { Ino, Timespec } from '../base/index.ts';
import type { InodeRecord } from './inode-format.ts';

/** An inode without bytes, attributes or target. Its four times are `now`. */
export function newInodeRecord(
  { mode, uid, gid, nlink }: Pick<InodeRecord, 'mode' | 'uid' | 'gid' | 'nlink'>,
  now: Timespec,
): InodeRecord {
  return {
    mode,
    uid,
    gid,
    nlink,
    size: 0,
    rdev: 0,
    extentLayer: 0,
    xattrLayer: 0,
    blocks: 0,
    atimeSeconds: now.seconds,
    atimeNanoseconds: now.nanoseconds,
    mtimeSeconds: now.seconds,
    mtimeNanoseconds: now.nanoseconds,
    ctimeSeconds: now.seconds,
    ctimeNanoseconds: now.nanoseconds,
    birthSeconds: now.seconds,
    birthNanoseconds: now.nanoseconds,
    // No parent: the inode has no name yet.
    parent: 0 as Ino,
    target: '',
  };
}
