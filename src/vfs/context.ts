/** What every operation on one open tree shares: its layers, who acts, and the clock. */
import type { Timespec } from '../base/index.ts';
import type { DraftRecord, Inode, LayerStack } from '../layer/index.ts';
import { type InodeRecord, newInodeRecord } from '../meta/index.ts';
import { type Credentials, S_ISGID } from './permission.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export class TreeContext {
  readonly stack: LayerStack;
  readonly dev: number;
  /** Permissions are checked only when set; without, the caller may do everything. */
  credentials: Credentials | undefined;
  /** Bits that new inodes do not get. */
  umask: number;
  /** Owner of new inodes where no credentials are set. */
  owner: Owner;

  constructor(stack: LayerStack, dev: number, owner: Owner, umask: number) {
    this.stack = stack;
    this.dev = dev;
    this.owner = owner;
    this.umask = umask;
  }

  now(): Timespec {
    return this.stack.clock.now();
  }

  /** The record of a new inode in `directory`; `mode` has its type bits and is not yet masked. */
  newRecord(directory: Inode, mode: number, now: Timespec): InodeRecord {
    const { uid, gid } = this.credentials ?? this.owner;
    const inheritsGroup = (directory.record.mode & S_ISGID) !== 0;
    const inherited = inheritsGroup ? directory.record.gid : gid;
    return newInodeRecord({ mode: mode & ~this.umask, uid, gid: inherited, nlink: 1 }, now);
  }
}

export function touchModified(draft: DraftRecord, now: Timespec): void {
  draft.mtimeSeconds = now.seconds;
  draft.mtimeNanoseconds = now.nanoseconds;
  draft.ctimeSeconds = now.seconds;
  draft.ctimeNanoseconds = now.nanoseconds;
}

export function touchChanged(draft: DraftRecord, now: Timespec): void {
  draft.ctimeSeconds = now.seconds;
  draft.ctimeNanoseconds = now.nanoseconds;
}
