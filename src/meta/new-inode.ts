/** The record that a new inode begins with. */
import type { Ino, Timespec } from '../base/index.ts';
import type { InodeRecord } from './inode-format.ts';

export interface NewInode {
  /** st_mode with its type bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
}

/** An inode without bytes, attributes or target, made at `now`: all four of its times are that. */
export function newInodeRecord({ mode, uid, gid, nlink }: NewInode, now: Timespec): InodeRecord {
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
    // 0 stands for no parent: what has no name yet.
    parent: 0 as Ino,
    target: '',
  };
}
