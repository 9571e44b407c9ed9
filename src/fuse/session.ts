/**
 * The state of one mount between requests: the negotiated features, and the inodes that the kernel has looked up. A
 * session knows nothing of devices: requests reach it through `dispatch`, which gets them as bytes.
 *
 * Invariants: a node id is the number of the inode, but 1 for the root; the count of an inode is how many replies
 * contained it, minus what FORGET requests took off; an inode without a name lives while its count is not 0.
 */
import { type BlobId, FsError, type Ino } from '../base/index.ts';
import { type Inode, mayChange } from '../layer/index.ts';
import type { MountUse, Tree } from '../store/index.ts';
import { hasSetId, type InodeCalls, type SpaceCounts } from '../vfs/index.ts';
import { ROOT_ID } from './abi.ts';
import { HOST_VALID_SECONDS, VALID_SECONDS } from './attribute-codec.ts';
import { ListingCache } from './directory-listing.ts';
import type { IoMode } from './mount-server.ts';
import type { OpenPolicy } from './open-policy.ts';
import { WalkReadAhead } from './walk-read-ahead.ts';

/** Names in the listings that a mount remembers. */
const LISTED_NAMES_MAX = 262_144;

export interface SessionEvents {
  /** The kernel read or wrote bytes of a file, and may keep them. */
  onCached?(inode: Inode, position: number, length: number): void;
  /** Bytes of a file cannot be read: the disk fails, or a block is not what was stored. */
  onDamaged?(inode: Inode, error: FsError): void;
  /** The kernel asks for an inode by handle. The answer waits for the promise, if there is one. */
  onHandle?(inode: Inode): Promise<void> | undefined;
  /** The kernel has dropped an inode. */
  onForgotten?(ino: Ino): void;
}

export interface SessionOptions {
  readonly opens: OpenPolicy;
  readonly io: IoMode;
  readonly space: () => SpaceCounts;
  readonly events?: SessionEvents;
}

export class Session implements MountUse {
  readonly tree: Tree;
  readonly calls: InodeCalls;
  readonly io: IoMode;
  readonly opens: OpenPolicy;
  readonly space: () => SpaceCounts;
  readonly events: SessionEvents;
  readonly listings = new ListingCache(LISTED_NAMES_MAX);
  readonly readAhead: WalkReadAhead;
  /** True after INIT. */
  isReady = false;
  /** True if SETXATTR carries 16 bytes of arguments instead of 8. */
  hasLongSetXattr = false;
  /** Number of requests so far that need an answer. */
  requestCount = 0;
  private readonly counts = new Map<Ino, number>();
  /** Inodes without a name that the kernel still has. */
  private readonly orphans = new Set<Ino>();

  constructor(tree: Tree, options: SessionOptions) {
    this.tree = tree;
    this.calls = tree.fileSystem.byInode;
    this.readAhead = new WalkReadAhead(this.calls, this.listings);
    this.io = options.io;
    this.opens = options.opens;
    this.space = options.space;
    this.events = options.events ?? {};
    tree.mount = this;
  }

  /** How many inodes the kernel has. */
  get knownCount(): number {
    return this.counts.size;
  }

  get known(): IterableIterator<Ino> {
    return this.counts.keys();
  }

  /**
   * How long, in seconds, the kernel may keep the attributes of an inode. 0 for a file with set-user-ID or
   * set-group-ID: a write clears these bits, but after a write the kernel asks only for times and size.
   */
  validSeconds(inode: Inode): number {
    if (inode.isFile && hasSetId(inode.record.mode)) return 0;
    return mayChange(this.tree.stack.chain.live, inode) ? HOST_VALID_SECONDS : VALID_SECONDS;
  }

  /** How long, in seconds, the kernel may remember that a directory does not have a name. */
  validSecondsOfNames(directory: Inode): number {
    return this.tree.stack.chain.isLive(directory.ino) ? HOST_VALID_SECONDS : VALID_SECONDS;
  }

  inoOf(nodeId: number): Ino {
    // The cast: a node id that the kernel got from a reply is an inode number; any other finds no inode.
    return nodeId === ROOT_ID ? this.calls.rootIno : (nodeId as Ino);
  }

  nodeOf(ino: Ino): number {
    return ino === this.calls.rootIno ? ROOT_ID : ino;
  }

  /** ESTALE when there is no such inode: a forged file handle may hold any 64 bits. */
  inode(nodeId: number): Inode {
    if (nodeId > Number.MAX_SAFE_INTEGER) throw new FsError('ESTALE');
    return this.calls.inode(this.inoOf(nodeId));
  }

  /** Like `inode`, for a read or a write; see `InodeCalls.file`. */
  file(nodeId: number): Inode {
    if (nodeId > Number.MAX_SAFE_INTEGER) throw new FsError('ESTALE');
    return this.calls.file(this.inoOf(nodeId));
  }

  /** Counts an inode that is in a reply. */
  remember({ ino }: Inode): void {
    if (ino === this.calls.rootIno) return;
    this.counts.set(ino, (this.counts.get(ino) ?? 0) + 1);
  }

  forget(nodeId: number, count: number): void {
    if (nodeId === ROOT_ID) return;
    const ino = this.inoOf(nodeId);
    const left = (this.counts.get(ino) ?? 0) - count;
    if (left > 0) {
      this.counts.set(ino, left);
      return;
    }
    this.counts.delete(ino);
    this.events.onForgotten?.(ino);
    if (this.orphans.delete(ino)) this.release(ino);
  }

  /**
   * Called for an inode that lost its last name. Returns true if the kernel still has the inode; then the inode is
   * released when the kernel forgets it.
   */
  isKept(ino: Ino): boolean {
    if (!this.counts.has(ino)) return false;
    this.orphans.add(ino);
    return true;
  }

  passedThrough(): Iterable<readonly [Ino, BlobId]> {
    return this.opens.passedThrough?.() ?? [];
  }

  /** Called when an inode that never had a name is in a reply. It loses no name, so `isKept` is not called for it. */
  noteUnnamed({ ino }: Inode): void {
    this.orphans.add(ino);
  }

  /** Called when the mount has ended, so that the kernel has no inode any more. */
  end(): void {
    this.tree.mount = undefined;
    this.opens.end?.();
    this.counts.clear();
    this.listings.clear();
    this.readAhead.clear();
    for (const ino of this.orphans) this.release(ino);
    this.orphans.clear();
  }

  private release(ino: Ino): void {
    const { stack } = this.tree;
    if (stack.upper?.isOpen !== true) return;
    try {
      stack.releaseIfUnused(stack.inode(ino));
    } catch (error) {
      // An inode that cannot be freed now stays an orphan in the tables. The next process that opens the tree frees it.
      if (!(error instanceof FsError)) throw error;
    }
  }
}
