/** One mount: its device, its session, and its end. */
import { closeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { FsError, whileBusy } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { Tree } from '../store/index.ts';
import { EAGAIN, EINTR, ENODEV, ENOENT, type Kernel } from '../sys/index.ts';
import { hintedPath } from '../vfs/index.ts';
import type { Place } from './blocking-call.ts';
import type { BlockingCalls } from './blocking-calls.ts';
import { dispatch, dispatchDeferred, type OnDefect, type OnDeferred } from './dispatch.ts';
import type { IoMode, Mount } from './mount-server.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { ServingLoop } from './serving-loop.ts';
import type { Session } from './session.ts';
import type { Wakefulness } from './wakefulness.ts';

/** The most requests of one mount to answer before other mounts get their turn. */
const REQUESTS_AT_ONCE = 64;
/** How long to wait for a busy mount: programs that exit, or that look at every mount, keep it busy for a moment. */
const BUSY_WAIT_MS = 500;
/** How long the answer to a lookup by file handle may wait until the kernel has looked up the file's name. */
const LOOK_UP_WAIT_MS = 1000;

/** Parts that all mounts of a server can share, since the server answers one request at a time. */
export interface MountParts {
  readonly kernel: Kernel;
  readonly loop: ServingLoop;
  readonly wakefulness: Wakefulness | undefined;
  readonly blocking: BlockingCalls;
  readonly request: Request;
  readonly reply: Reply;
  readonly requestAddress: number;
  readonly replyAddress: number;
  readonly onDefect: OnDefect;
}

export interface MountPlace {
  readonly directory: string;
  readonly device: number;
  readonly deviceNumber: string | undefined;
}

export class MountedTree implements Mount {
  readonly tree: Tree;
  readonly directory: string;
  readonly io: IoMode;
  readonly session: Session;
  readonly device: number;
  readonly deviceNumber: string | undefined;
  /** True once the mount is no longer at `directory`, though programs may still use it. */
  isDetached = false;
  isAborted = false;
  readonly ended: Promise<void>;
  private readonly parts: MountParts;
  private readonly onEnd: (mount: MountedTree) => void;
  /** `performance.now()` when a program last asked for anything. */
  lastRequestAt = performance.now();
  /** True if no program has asked for anything since the last trim, or since the mount began. */
  isTrimmed = true;
  private resolveEnded: () => void = () => undefined;
  private isServed = true;

  constructor(parts: MountParts, session: Session, place: MountPlace, onEnd: (mount: MountedTree) => void) {
    this.parts = parts;
    this.session = session;
    this.tree = session.tree;
    this.io = session.io;
    this.directory = place.directory;
    this.device = place.device;
    this.deviceNumber = place.deviceNumber;
    this.onEnd = onEnd;
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
  }

  private get place(): Place {
    return { directory: this.directory, device: this.deviceNumber };
  }

  get nodeCount(): number {
    return this.session.knownCount;
  }

  /** Call this only once the device is mounted: until then the kernel reports an error for it. */
  begin(): void {
    this.parts.loop.add(this.device, this);
  }

  /** Answers the requests that the device has. */
  serve(): void {
    const { requestCount } = this.session;
    this.answerAll();
    const answered = this.session.requestCount - requestCount;
    if (answered === 0) return;
    this.lastRequestAt = performance.now();
    this.parts.wakefulness?.note(this.lastRequestAt, answered);
    this.isTrimmed = false;
  }

  rest(): boolean {
    return this.session.readAhead.prepare();
  }

  private answerAll(): void {
    const { kernel, request, reply, requestAddress, replyAddress, onDefect } = this.parts;
    const { stack } = this.tree;
    for (let served = 0; served < REQUESTS_AT_ONCE && this.isServed; served++) {
      const count = kernel.read(this.device, requestAddress, request.bytes.length);
      if (count === -EAGAIN) return;
      // ENOENT: the request was interrupted before it could be read.
      if (count === -EINTR || count === -ENOENT) continue;
      if (count < 0) {
        this.end(count !== -ENODEV);
        return;
      }
      if (!request.begin(count)) continue;
      // No operation is under way between two requests, so nothing holds an inode that `trim` drops.
      stack.trim();
      const length = dispatch(this.session, request, reply, this.defer, onDefect);
      // ENOENT: the caller no longer waits for the answer.
      if (length > 0) kernel.write(this.device, replyAddress, length);
    }
  }

  /** Answers a deferred request when its wait is over, unless the mount has ended by then. */
  private readonly defer: OnDeferred = (deferred, unique) => {
    const { kernel, loop, reply, replyAddress, onDefect } = this.parts;
    loop.giveTurn();
    void deferred.until.then(() => {
      if (!this.isServed) return;
      const length = dispatchDeferred(deferred, unique, reply, onDefect);
      kernel.write(this.device, replyAddress, length);
    });
  };

  /**
   * Stops serving. `isAborted` is false at ENODEV, when the kernel has let go of the mount, and true at any other
   * error, such as ECONNABORTED: an aborted mount stays in its place.
   */
  end(isAborted = false): void {
    if (!this.isServed) return;
    this.isServed = false;
    this.isAborted = isAborted;
    this.parts.loop.remove(this.device, this);
    closeSync(this.device);
    this.session.end();
    this.onEnd(this);
    this.resolveEnded();
  }

  /** Has the worker send a notification. False when the kernel does not know this kind of notification. */
  async notify(message: Uint8Array): Promise<boolean> {
    if (!this.isServed) return true;
    this.parts.loop.giveTurn();
    try {
      await this.parts.blocking.run({ kind: 'notify', device: this.device, message });
      return true;
    } catch (error) {
      // The kernel answers EINVAL to a kind that it does not know; a mount that has ended needs no notification.
      if (error instanceof FsError) return error.code !== 'EINVAL';
      throw error;
    }
  }

  /**
   * Makes the kernel look up by name an inode that it asked for by file handle. Otherwise the inode's dentry has no
   * name, and Linux takes such a dentry of FUSE for outdated: since Linux 6.16 always, because its `d_time` is not set;
   * before 6.16, because the kernel looks up the name `/` in it. An overlay then gives ESTALE for every file that it
   * has copied up from this mount. Undefined when the tree knows no name. The wait is bounded, because the caller may
   * hold a lock that the walk needs.
   */
  lookUpByName(inode: Inode): Promise<void> | undefined {
    if (this.isDetached || inode.ino === this.session.calls.rootIno) return undefined;
    const path = hintedPath(this.tree.stack, inode);
    if (path === undefined) return undefined;
    const walk = this.parts.blocking.run({ kind: 'lookUp', ...this.place, path });
    const done = walk.then(
      () => undefined,
      (error: unknown) => {
        // If the lookup fails, the file handle is answered all the same, and the dentry has no name.
        if (!(error instanceof FsError)) throw error;
      },
    );
    return Promise.race([done, pause(LOOK_UP_WAIT_MS, undefined, { ref: false })]);
  }

  /** Makes the kernel free the memory of unused names, if this process may ask for that. */
  async dropUnusedNames(): Promise<void> {
    if (!this.isServed || this.isDetached || this.deviceNumber === undefined) return;
    try {
      await this.parts.blocking.run({ kind: 'dropUnusedNames', ...this.place });
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
  }

  async sync(): Promise<void> {
    if (this.isServed) await this.parts.blocking.run({ kind: 'sync', ...this.place });
  }

  async unmount({ isLazy = false }: { readonly isLazy?: boolean } = {}): Promise<void> {
    // An aborted mount has no users to wait for.
    if (this.isAborted) return await this.takeAway(true);
    await whileBusy(
      () => (this.isServed && !this.isDetached ? this.takeAway(isLazy) : undefined),
      BUSY_WAIT_MS,
    );
  }

  private async takeAway(isLazy: boolean): Promise<void> {
    if (this.isDetached) return;
    await this.parts.blocking.run({ kind: 'unmount', ...this.place, isLazy });
    this.isDetached = true;
  }
}
