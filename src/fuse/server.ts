/** The mount server: mounts trees, and serves them all from the thread that it was made in. */
import { closeSync, openSync, readlinkSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { FsError, isFsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { Tree } from '../store/index.ts';
import { createKernel, deviceMountedAt, fileLink, type Kernel, O_DIRECTORY, O_RDONLY } from '../sys/index.ts';
import { knownPath } from '../vfs/index.ts';
import { IN_HEADER_BYTES, OUT_HEADER_BYTES, WRITE_IN } from './abi.ts';
import { attach } from './attaching.ts';
import { BlockingCalls } from './blocking-calls.ts';
import { requireBackingFiles } from './caller.ts';
import type { OnDefect } from './dispatch.ts';
import { type Evicted, KernelPages, type PageLimits } from './kernel-pages.ts';
import { MemoryReturn } from './memory-return.ts';
import type { IoMode, Mount, MountServer, ServeOptions } from './mount-server.ts';
import { MountedTree, type MountParts, type MountPlace } from './mounted-tree.ts';
import { MAX_WRITE_BYTES, spaceCounter } from './negotiation.ts';
import { invalidateInode, pruneMessages } from './notifications.ts';
import { CACHED_OPENS, DIRECT_OPENS, type OpenPolicy } from './open-policy.ts';
import { Reply } from './reply.ts';
import { Request } from './request.ts';
import { ServingLoop, WAIT_MS_MAX } from './serving-loop.ts';
import { Session, type SessionEvents } from './session.ts';
import { SharedOpens } from './shared-opens.ts';
import { HOLD_MS, Wakefulness } from './wakefulness.ts';
import { connectionOf, Watchdog } from './watchdog.ts';

/** The longest request or answer: a header and the most bytes that a READ or WRITE moves. */
const MESSAGE_BYTES = MAX_WRITE_BYTES + 4096;

export interface MountServerOptions {
  /** Returns true while the process has work to do between its events, so that the server does not wait. */
  readonly hasWork?: () => boolean;
  /** Limits of the bytes of files that the kernel may cache for all mounts together. */
  readonly pages?: Partial<PageLimits>;
  /** Milliseconds that a mount must be idle before the server makes the kernel give back its inodes and names. */
  readonly trimAfterMs?: number;
  /** False: the server gives nodes back as it does on kernels whose FUSE is older than 7.45. */
  readonly canPrune?: boolean;
  /** Milliseconds that the serving thread may stand still before the watchdog aborts the mounts. */
  readonly stuckAfterMs?: number;
  /** True: keeps idle CPUs from sleeping while a mount is busy, where the process may do that (see `Wakefulness`). */
  readonly keepsAwake?: boolean;
  /** Called once for a file of a mounted tree whose bytes cannot be read; `path` is undefined if no name is known. */
  readonly onDamaged?: (tree: Tree, path: string | undefined, error: FsError) => void;
  readonly onDefect?: OnDefect;
}

const DEFAULTS: Required<MountServerOptions> = {
  hasWork: () => false,
  pages: {},
  trimAfterMs: 60_000,
  canPrune: true,
  // Longer than anything that an owner process does between two turns.
  stuckAfterMs: 120_000,
  keepsAwake: true,
  onDamaged: () => undefined,
  onDefect: raise,
};

/**
 * While the kernel has more nodes than this, mounts that are idle for a second give theirs back, longest idle first.
 */
const NODES_MAX = 262_144;
const LARGE_PAGES_BYTES = 64 * 1024 * 1024;
/** Pages of small files may take the machine's memory divided by this. */
const SMALL_PAGES_SHARE = 16;
const LOOK_EVERY_MS = 1000;
/** How long to wait until the kernel lets go of an unmounted mount. */
const END_WAIT_MS = 1000;

/** ENOSYS where this process cannot serve mounts: another platform than Linux, or no libc. */
export function createMountServer(options: MountServerOptions = {}): MountServer {
  const kernel = createKernel();
  if (kernel instanceof Error)
    throw new FsError('ENOSYS', {
      syscall: 'mount',
      note: `mounts cannot be served here: ${kernel.message}`,
    });
  return new Server(kernel, options);
}

/**
 * Device number (`major:minor`) of the filesystem that was just mounted at `directory`; undefined if it cannot be
 * found. Another user who may rename a directory on the way can hide the mount for moments, hence the repeated tries.
 */
function deviceOfMount(directory: string): string | undefined {
  for (let tries = 0; tries < 20; tries++) {
    const device = deviceMountedAt(directory);
    if (device !== undefined) return device;
  }
  return undefined;
}

class Server implements MountServer {
  private readonly options: Required<MountServerOptions>;
  private readonly parts: MountParts;
  private readonly mounted = new Set<MountedTree>();
  private readonly pages: KernelPages<MountedTree>;
  private readonly watchdog: Watchdog;
  private readonly wakefulness: Wakefulness | undefined;
  private readonly memory: MemoryReturn;
  private readonly timer: NodeJS.Timeout;
  private canPrune: boolean;
  private prepared: Promise<void> | undefined;

  constructor(kernel: Kernel, options: MountServerOptions) {
    this.options = { ...DEFAULTS, ...options };
    const { stuckAfterMs, keepsAwake, canPrune, onDefect, pages } = this.options;
    const request = new Request(messageBuffer(kernel, IN_HEADER_BYTES + WRITE_IN.bytes));
    const reply = new Reply(messageBuffer(kernel, OUT_HEADER_BYTES));
    this.memory = new MemoryReturn(kernel);
    this.watchdog = new Watchdog(stuckAfterMs);
    this.wakefulness = keepsAwake ? new Wakefulness() : undefined;
    this.parts = {
      kernel,
      loop: new ServingLoop(kernel, () => this.waitMs()),
      wakefulness: this.wakefulness,
      blocking: new BlockingCalls(),
      request,
      reply,
      requestAddress: kernel.addressOf(request.bytes),
      replyAddress: kernel.addressOf(reply.bytes),
      onDefect,
    };
    const smallBytesMax = totalmem() / SMALL_PAGES_SHARE;
    this.pages = new KernelPages({ largeBytesMax: LARGE_PAGES_BYTES, smallBytesMax, ...pages }, evict);
    this.canPrune = canPrune;
    this.timer = setInterval(() => this.trimIdle(), LOOK_EVERY_MS).unref();
  }

  async mount(tree: Tree, directory: string, options: ServeOptions = {}): Promise<Mount> {
    for (const mount of this.mounted) {
      const isThere = mount.directory === directory && !mount.isDetached;
      if (!isThere && mount.tree !== tree) continue;
      const note = mount.tree === tree ? `it is mounted at ${mount.directory}` : 'a tree is mounted there';
      throw new FsError('EBUSY', { syscall: 'mount', path: directory, note });
    }
    this.prepared ??= this.parts.loop.prepare();
    await this.prepared;
    const {
      allowOther = false,
      io = 'cached',
      noAtime = false,
      source = `ramet:${tree.info.name}`,
    } = options;
    requireStoreOutside(tree.stack.blobs.directory, directory);
    if (io === 'shared') requireBackingFiles();
    // Read the tree's root before mounting, since the mount may hide the host tree that the fork stands on.
    void tree.stack.root;
    const hidesFiles = tree.info.source === directory;
    const attachment = { directory, source, isReadOnly: tree.isReadOnly, allowOther, hidesFiles };
    const device = await attach(this.parts.blocking, attachment);
    const deviceNumber = deviceOfMount(directory);
    const mount = await this.begin(tree, io, { directory, device, deviceNumber });
    tree.fileSystem.keepsAccessTimes = !noAtime;
    mount.begin();
    if (deviceNumber !== undefined) {
      const connection = connectionOf(deviceNumber);
      this.watchdog.add(mount, connection);
      readAhead(connection);
    }
    return mount;
  }

  /** Returns how long the loop may wait; called at every turn. */
  private waitMs(): number {
    this.watchdog.noteTurn();
    if (this.wakefulness?.isHeld === true) this.wakefulness.rest(performance.now());
    if (this.options.hasWork()) return 0;
    return this.wakefulness?.isHeld === true ? HOLD_MS : WAIT_MS_MAX;
  }

  private async begin(tree: Tree, io: IoMode, place: MountPlace): Promise<MountedTree> {
    const { pages } = this;
    let opens: OpenPolicy;
    try {
      opens = this.openPolicy(io, tree, place.device);
    } catch (error) {
      // Closing the device breaks the mount. Unmount it lazily, since programs may be using it already.
      closeSync(place.device);
      const { directory, deviceNumber: device } = place;
      await this.parts.blocking.run({ kind: 'unmount', directory, device, isLazy: true });
      throw error;
    }
    const reported = new WeakSet<Inode>();
    const onDamaged = (inode: Inode, error: FsError): void => {
      // A program that tries again fails again; one report is enough.
      if (!reported.has(inode)) this.options.onDamaged(tree, knownPath(tree.stack, inode), error);
      reported.add(inode);
    };
    const onHandle = (inode: Inode): Promise<void> | undefined => mount.lookUpByName(inode);
    // In direct mode the kernel caches no bytes of files.
    const events: SessionEvents =
      io === 'direct'
        ? { onDamaged, onHandle }
        : {
            onDamaged,
            onHandle,
            onCached: ({ ino, record }, position, length) =>
              pages.note(mount, ino, record.size, position, length),
            onForgotten: (ino) => pages.forget(mount, ino),
          };
    const space = spaceCounter(tree.stack.blobs.directory);
    const session = new Session(tree, { io, opens, space, events });
    const onEnd = (ended: MountedTree): void => {
      this.mounted.delete(ended);
      this.watchdog.remove(ended);
      if (this.mounted.size === 0) this.wakefulness?.release();
      pages.forgetAll(ended);
    };
    const mount: MountedTree = new MountedTree(this.parts, session, place, onEnd);
    this.mounted.add(mount);
    return mount;
  }

  private openPolicy(io: IoMode, { stack }: Tree, device: number): OpenPolicy {
    if (io === 'cached') return CACHED_OPENS;
    if (io === 'direct') return DIRECT_OPENS;
    return new SharedOpens(this.parts.kernel, stack, device);
  }

  /** Trims mounts that were idle for `trimAfterMs`, or for `LOOK_EVERY_MS` if the kernel has over `NODES_MAX` nodes. */
  private trimIdle(): void {
    const now = performance.now();
    let nodes = 0;
    for (const { session } of this.mounted) nodes += session.knownCount;
    const trims: Promise<void>[] = [];
    const byIdleness = [...this.mounted].sort((a, b) => a.lastRequestAt - b.lastRequestAt);
    for (const mount of byIdleness) {
      const idleMs = now - mount.lastRequestAt;
      if (mount.isTrimmed || idleMs < LOOK_EVERY_MS) continue;
      if (idleMs < this.options.trimAfterMs && nodes <= NODES_MAX) continue;
      nodes -= mount.session.knownCount;
      trims.push(this.trimOne(mount));
    }
    if (trims.length > 0) void Promise.all(trims).then(() => this.memory.later());
  }

  async trim(): Promise<void> {
    await Promise.all(
      [...this.mounted].filter(({ isTrimmed }) => !isTrimmed).map((mount) => this.trimOne(mount)),
    );
    await this.memory.now();
  }

  private async trimOne(mount: MountedTree): Promise<void> {
    mount.isTrimmed = true;
    const { session } = mount;
    if (this.canPrune) {
      for (const message of pruneMessages(session.known)) {
        this.canPrune = await mount.notify(message);
        if (!this.canPrune || !mount.isTrimmed) break;
      }
    }
    if (!this.canPrune) await mount.dropUnusedNames();
    if (!mount.isTrimmed) return;
    session.listings.clear();
    session.readAhead.clear();
    session.tree.stack.dropInodes(Number.POSITIVE_INFINITY);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    this.memory.cancel();
    const ends = await Promise.allSettled([...this.mounted].map(unmountSomehow));
    this.wakefulness?.release();
    await this.parts.blocking.close();
    await this.watchdog.close();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}

/**
 * Makes the kernel read a megabyte ahead in files that programs read in order. The kernel then sends one request of the
 * largest size instead of eight, which is twice as fast. Only root may set this; for others it stays at 128 KiB.
 */
function readAhead(connection: number): void {
  try {
    writeFileSync(`/sys/class/bdi/0:${connection}/read_ahead_kb`, String(MAX_WRITE_BYTES / 1024));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}

/**
 * Makes the kernel drop these ranges, some time after this call. A delay is safe, since ranges that programs are
 * reading are not among the least recently used.
 */
function evict(ranges: readonly Evicted<MountedTree>[]): void {
  for (const { owner, ino, position, length } of ranges) {
    void owner.notify(invalidateInode(owner.session.nodeOf(ino), position, length));
  }
}

/**
 * Unmounts, lazily if the mount is busy. A mount that was unmounted before only loses its connection. The connection
 * always ends: programs that still use the mount get ENOTCONN from then on.
 */
async function unmountSomehow(mount: MountedTree): Promise<void> {
  try {
    if (!mount.isDetached) {
      await mount.unmount();
      await Promise.race([mount.ended, pause(END_WAIT_MS, undefined, { ref: false })]);
    }
  } catch (error) {
    // After any other error a second try has no better chance, so the mount stays, and gives ENOTCONN.
    if (!isFsError(error, 'EBUSY')) throw error;
    await mount.unmount({ isLazy: true });
  } finally {
    mount.end();
  }
}

function raise(error: unknown): void {
  // Thrown outside any promise, so that a defect ends the process, after the answer was sent.
  queueMicrotask(() => {
    throw error;
  });
}

/** A buffer whose bytes after the first `headBytes` start at a multiple of 64, where copying is fastest. */
function messageBuffer(kernel: Kernel, headBytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(MESSAGE_BYTES + 128);
  const start = (64 - ((kernel.addressOf(memory) + headBytes) % 64)) % 64;
  return memory.subarray(start, start + MESSAGE_BYTES);
}

/**
 * EBUSY for a mount that would hide its own store, since the server would wait for itself at the first read from there.
 */
function requireStoreOutside(blobsDirectory: string, directory: string): void {
  // `blobsDirectory` may lead through an open descriptor (/proc/self/fd), so compare the real path instead.
  const fd = openSync(blobsDirectory, O_RDONLY | O_DIRECTORY);
  try {
    if (!`${readlinkSync(fileLink(fd))}/`.startsWith(`${resolve(directory)}/`)) return;
  } finally {
    closeSync(fd);
  }
  const note =
    'the store lies inside, and the mount would hide it: mount elsewhere, or keep the store elsewhere';
  throw new FsError('EBUSY', { syscall: 'mount', path: directory, note });
}
