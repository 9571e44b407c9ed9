/** What every operation on one open tree shares: its layers, who acts, and the clock. */
import type { Timespec } from '../base/index.ts';
import type { DraftRecord, LayerStack } from '../layer/index.ts';
import type { Credentials } from './credentials.ts';

export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

export class TreeContext {
  readonly stack: LayerStack;
  readonly dev: number;
  /** Permissions are checked only when set; without, the caller may do everything. */
  credentials: Credentials | undefined;
  /** Bits that new inodes do not get, unless their directory has a default ACL. */
  umask: number;
  /** Reading moves the time of access. */
  keepsAccessTimes = true;
  /** Owner of new inodes where no credentials are set. */
  owner: FileOwner;

  constructor(stack: LayerStack, dev: number, owner: FileOwner, umask: number) {
    this.stack = stack;
    this.dev = dev;
    this.owner = owner;
    this.umask = umask;
  }

  now(): Timespec {
    return this.stack.clock.now();
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
