/**
 * The public facade: a `Store` holds snapshots and forks; a `Fork` is a writable tree, a `Snapshot` a frozen one, each
 * with an `fs` that passes as node:fs. Failures are errors in Node's shape (`ENOENT: …, fork 'try-1'`), and
 * `StoreError` where the store itself is at fault.
 */
import { statfsSync } from 'node:fs';
import { resolve } from 'node:path';
import { assert, isFsError, nameToString } from '../base/index.ts';
import { TreeCache } from '../layer/index.ts';
import type { CommitReport, MergeReport } from '../lifecycle/index.ts';
import type { View } from '../mapping/index.ts';
import { checkMountPoint } from '../owner/index.ts';
import type { Tree, TreeInfo } from '../store/index.ts';
import { forkOver, hostState, isHostPath, StoreEngine, stateFrom } from '../store/index.ts';
import type { Change } from '../survey/index.ts';
import { diffTrees } from '../survey/index.ts';
import type { ExportReport } from '../transfer/index.ts';
import { importTree } from '../transfer/index.ts';
import type { DedupeReport, FsckOptions, FsckReport, GcReport } from '../upkeep/index.ts';
import { checkStore, collectGarbage, dedupeStore } from '../upkeep/index.ts';
import type { SpaceCounts } from '../vfs/index.ts';
import { systemFailure } from './errors.ts';
import { type ExtentDestination, type SameExtentResult, shareExtents } from './extent-same.ts';
import { type ForkMount, type MountOptions, mountFork } from './fork-mount.ts';
import type { NodeFs } from './fs.ts';
import type {
  ForkOptions,
  MapFileOptions,
  OpenOptions,
  StoreDedupeOptions,
  StoreImportOptions,
} from './library-arguments.ts';
import * as checks from './library-arguments.ts';
import type { CommitOptions, ExportChangesOptions, MergeOptions, RollbackOptions } from './lifecycle.ts';
import { commitFork, exportForkChanges, mergeFork, rollbackFork } from './lifecycle.ts';
import { OpenTree } from './open-tree.ts';
import { named, reaching, treeFailure } from './tree-calls.ts';

/** A frozen tree. Its `fs` can only read; calls that would write fail with EROFS. */
export class Snapshot {
  readonly name: string;
  readonly #store: Store;
  #open: OpenTree | undefined;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.name = name;
  }

  #tree(): OpenTree {
    this.#open ??= this.#store.openTree(this.name, 'snapshot');
    return this.#open;
  }

  /** The tree as node:fs; opened on first use. */
  get fs(): NodeFs {
    return this.#tree().fs;
  }

  /** Maps a file (path, or descriptor of this fs) into memory. */
  map(file: string | Uint8Array | URL | number, options: MapFileOptions = {}): View {
    return this.#tree().map(file, options);
  }

  /** A new writable tree over this one. EEXIST when the name is taken. */
  async fork(name: string): Promise<Fork> {
    checks.checkString(name, 'name');
    return this.#store.forkOf(this.name, name);
  }

  /** What differs between this tree and `other`, the name of any tree. */
  async diff(other: string): Promise<Change[]> {
    checks.checkString(other, 'other');
    return this.#store.diff(other, this.name);
  }

  /** Closes the tree if it was opened; descriptors of its `fs` become invalid. */
  async close(): Promise<void> {
    this.#open?.close();
    this.#open = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A writable tree: its own changes over a snapshot that it shares. */
export class Fork {
  readonly name: string;
  readonly #store: Store;
  readonly #source: string;
  #open: OpenTree | undefined;
  #mount: ForkMount | undefined;
  #state: 'open' | 'mounting' | 'mounted' | 'released' | 'closed' = 'open';

  constructor(store: Store, tree: OpenTree, name: string, source: string) {
    this.#store = store;
    this.#open = tree;
    this.name = name;
    this.#source = source;
  }

  /** The tree, opened again if it was released. EBUSY while it is mounted, EBADF once the fork is closed. */
  #tree(operation: string): OpenTree {
    switch (this.#state) {
      case 'mounting':
        throw systemFailure('EBUSY', operation, this.name, undefined, 'it is being mounted or unmounted');
      case 'mounted': {
        const note = `it is mounted at ${this.#mount?.directory ?? 'a directory'}: unmount it first`;
        throw systemFailure('EBUSY', operation, this.name, undefined, note);
      }
      case 'closed':
        throw systemFailure('EBADF', operation, this.name);
      case 'released':
        // A mount, commit, merge or rollback has released the tree. EBUSY while programs still use a mount that was
        // ended lazily.
        this.#open = this.#store.openTree(this.name, 'fork');
        this.#state = 'open';
    }
    assert(this.#open !== undefined, 'an open fork has its tree');
    return this.#open;
  }

  /**
   * The tree as node:fs. EBADF once the fork is closed. While the fork is mounted, this is another object, which goes
   * through the mount point.
   */
  get fs(): NodeFs {
    return this.#mount?.fs ?? this.#tree('fork').fs;
  }

  /**
   * Maps a file (path, or descriptor of this fs) into memory: live, shared, coherent with later writes. EBUSY while the
   * fork is mounted.
   */
  map(file: string | Uint8Array | URL | number, options: MapFileOptions = {}): View {
    return this.#tree('mmap').map(file, options);
  }

  /**
   * Lets ranges of files share the blocks of a range of `source` where they have the same bytes:
   * ioctl_fideduperange(2). Offsets must be multiples of 4,096 bytes. If the length is not, the last, incomplete block
   * is shared only if both ranges end at the end of their files. Content and times stay as they are. Throws EBADF,
   * EISDIR, EINVAL for the source; errors of a destination are in its result. EBUSY while the fork is mounted.
   *
   * ```js
   * const [result] = fork.extentSame('/a.bin', 0, 8192, [{ file: '/b.bin', offset: 0 }]);
   * if (result.status === 'same') console.log(result.bytesDeduped);
   * ```
   */
  extentSame(
    source: string | Uint8Array | URL | number,
    sourceOffset: number,
    length: number,
    destinations: readonly ExtentDestination[],
  ): SameExtentResult[] {
    const { parts } = this.#tree('fideduperange');
    return shareExtents(parts, source, sourceOffset, length, destinations);
  }

  /** What differs from `other`, the name of any tree. Default: the tree it was forked from. */
  async diff(other: string = this.#source): Promise<Change[]> {
    checks.checkString(other, 'other');
    return this.#store.diff(other, this.name);
  }

  /** Makes a snapshot of the tree as it is now. */
  async snapshot(name: string): Promise<Snapshot> {
    checks.checkString(name, 'name');
    if (this.#mount === undefined) {
      this.#tree('snapshot');
      return this.#store.snapshotOf(this.name, name);
    }
    await this.#mount.snapshot(name);
    return await this.#store.snapshot(name);
  }

  /** Makes a new fork of the tree as it is now; the two are independent from then on. */
  async fork(name: string): Promise<Fork> {
    checks.checkString(name, 'name');
    if (this.#mount === undefined) {
      this.#tree('fork');
      return this.#store.forkOf(this.name, name);
    }
    await this.#mount.fork(name);
    return await this.#store.fork(name);
  }

  /**
   * Mounts the fork at an empty directory, or at the directory that it stands on, so that other programs can use it.
   * Until the mount is unmounted or disposed of, the store's owner process has the fork's layer, and this handle works
   * through the mount. Get the fork's `fs` again after mounting, and again after unmounting. EBUSY while files of the
   * fork are open or mapped here; ENOENT, ENOTDIR, ENOTEMPTY, EBUSY for the directory; ENODEV, EPERM, EACCES if the
   * host does not allow it; ENOTSUP if the owner process runs in another mount namespace.
   */
  async mount(directory: string, options: MountOptions = {}): Promise<ForkMount> {
    checks.checkHostPath(directory, 'directory');
    checks.checkOptions(options, checks.MOUNT);
    this.#tree('mount');
    const place = named('mount', this.name, () => checkMountPoint(directory, this.#source));
    this.#release('mount');
    this.#state = 'mounting';
    try {
      this.#mount = await this.#store.mountFork(this.name, place, options, () => this.#resumeAfterMount());
      this.#state = 'mounted';
      return this.#mount;
    } catch (error) {
      this.#state = 'released';
      throw treeFailure('mount', this.name, error);
    }
  }

  /** Closes the tree until its next use. Meanwhile another state can take its place, or a mount can show it. */
  #release(operation: string): void {
    const tree = this.#tree(operation);
    if (tree.isInUse) {
      const note = 'files of it are open or mapped in this process: close them first';
      throw systemFailure('EBUSY', operation, this.name, undefined, note);
    }
    this.#state = 'released';
    this.#open = undefined;
    tree.close();
  }

  /**
   * Writes the fork's changes into the host directory that it was imported from, or into another, `to`. At any moment
   * each file there is the old one or the new one; after a failure, commit again to finish. A file that was also
   * changed there since the fork was made or last committed is a conflict. With conflicts, by default, nothing is
   * written and `isDone` is false. A fork that stands on the directory itself stands on its new state afterwards: get
   * its `fs` again. ENOENT, EBUSY (another commit into the directory is running; or such a fork is mounted, or has
   * files open), EINVAL (the directory is in the store), ENOSPC, EACCES, EIO.
   */
  async commit(options: CommitOptions = {}): Promise<CommitReport> {
    checks.checkOptions(options, checks.COMMIT);
    if (hostState(this.#store.engine, this.name) !== undefined) this.#release('commit');
    return await commitFork(this.#store.engine, this.name, options);
  }

  /**
   * Brings into this fork what the tree `from` changed since their common state: all of it or nothing. With conflicts,
   * by default, nothing is changed and `isApplied` is false. Get the fork's `fs` again afterwards. EBUSY while files of
   * the fork are open or mapped here, or it is mounted; EINVAL if the two trees have nothing in common.
   */
  async merge(from: string, options: MergeOptions = {}): Promise<MergeReport> {
    checks.checkString(from, 'from');
    checks.checkOptions(options, checks.MERGE);
    this.#release('merge');
    return await mergeFork(this.#store.engine, from, this.name, options);
  }

  /**
   * Makes the fork equal to a snapshot. Keeps the fork's former state as a snapshot and returns the snapshot's name,
   * unless `discard` is set. Get the fork's `fs` again afterwards. EBUSY while files of the fork are open or mapped
   * here, or it is mounted; ENOENT.
   */
  async rollback(snapshot: string, options: RollbackOptions = {}): Promise<string | undefined> {
    checks.checkString(snapshot, 'snapshot');
    checks.checkOptions(options, checks.ROLLBACK);
    this.#release('rollback');
    return rollbackFork(this.#store.engine, this.name, snapshot, options);
  }

  /**
   * Writes what the fork changed, with whiteouts for what is gone, as a layer: a tar of the OCI image specification, or
   * an upper directory of overlayfs. EEXIST, ENOTEMPTY for the destination; EINVAL for a name that a tar cannot have.
   */
  async exportChanges(destination: string, options: ExportChangesOptions = {}): Promise<ExportReport> {
    checks.checkHostPath(destination, 'destination');
    checks.checkOptions(options, checks.EXPORT_CHANGES);
    const files = this.#mount?.files ?? this.#tree('export').tree.fileSystem;
    const tree = { name: this.name, source: this.#source, files };
    return await exportForkChanges(this.#store.engine, tree, destination, options);
  }

  #resumeAfterMount(): void {
    this.#mount = undefined;
    if (this.#state !== 'closed') this.#state = 'released';
  }

  /**
   * Closes the fork; everything written is kept. Ends its mount, lazily if that is busy. Closing twice is no error.
   */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.#open?.close();
    this.#open = undefined;
    await this.#mount?.abandon();
  }

  /** Closes the fork, and removes nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A store, open until it is closed or disposed of. */
export class Store {
  /** The engine of the store, for other interfaces of this package. */
  readonly engine: StoreEngine;
  readonly #trees = new Set<OpenTree>();
  readonly #mounts = new Set<ForkMount>();

  private constructor(engine: StoreEngine) {
    this.engine = engine;
  }

  /**
   * Opens the store in `directory`, and makes one if there is none. With `create: false` it fails with
   * ERR_STORE_NOT_FOUND instead. ERR_STORE_OWNER if the store belongs to another user.
   */
  static async open(directory: string, options: OpenOptions = {}): Promise<Store> {
    checks.checkHostPath(directory, 'directory');
    checks.checkOptions(options, checks.OPEN);
    const { create = true, trustStore, readOnly, cache } = options;
    const limits = cache === undefined ? {} : { cache: new TreeCache(cache) };
    return new Store(
      await StoreEngine.open(directory, {
        create: create && readOnly !== true,
        trustStore,
        readOnly,
        ...limits,
      }),
    );
  }

  get directory(): string {
    return this.engine.directory;
  }

  /** Makes a snapshot of a directory of the host. EEXIST when the name is taken. */
  async import(hostDirectory: string, options: StoreImportOptions): Promise<Snapshot> {
    checks.checkHostPath(hostDirectory, 'hostDirectory');
    checks.checkOptions(options, checks.IMPORT);
    const { onReport, ...rest } = options;
    const report = await importTree(this.engine, hostDirectory, rest);
    onReport?.(report);
    return this.snapshot(options.name);
  }

  /** The snapshot of that name. ENOENT when there is none, EINVAL when it is a fork. */
  async snapshot(name: string): Promise<Snapshot> {
    checks.checkString(name, 'name');
    const info = named('snapshot', name, () => this.engine.info(name));
    if (info.kind !== 'snapshot') throw systemFailure('EINVAL', 'snapshot', name, undefined, 'it is a fork');
    return new Snapshot(this, name);
  }

  /**
   * Opens the fork of that name. ENOENT when there is none, EINVAL when it is a snapshot, EBUSY while another process
   * has it open.
   */
  async fork(name: string): Promise<Fork> {
    checks.checkString(name, 'name');
    const info = named('fork', name, () => this.engine.info(name));
    if (info.kind !== 'fork') throw systemFailure('EINVAL', 'fork', name, undefined, 'it is a snapshot');
    return new Fork(this, this.openTree(name, 'fork'), name, info.source);
  }

  /**
   * A new writable tree over `lowers`: trees, directories of the host, or nothing. EEXIST, EINVAL (a bad name, a lower
   * that is given twice, more than 500 lowers), ENOENT and ENOTDIR for a lower, ELOOP for a directory that is a mount
   * of Ramet.
   */
  async createFork(options: ForkOptions): Promise<Fork> {
    checks.checkOptions(options, checks.CREATE_FORK);
    const { name, lowers, pin } = options;
    const places = lowers.map((lower) => (isHostPath(lower) ? resolve(lower) : lower));
    const tree = named('fork', name, () => forkOver(this.engine, places, name, pin === true));
    return new Fork(this, this.#wrap(tree), name, tree.info.source);
  }

  /** Every fork and snapshot. */
  async list(): Promise<TreeInfo[]> {
    return this.engine.list();
  }

  /** How the tree `to` differs from the tree `from`: added, removed, modified, renamed. Paths are absolute text. */
  async diff(from: string, to: string): Promise<Change[]> {
    checks.checkString(from, 'from');
    checks.checkString(to, 'to');
    const changes = await reaching(this.engine, 'diff', to, async (trees) => {
      const before = stateFrom(this.engine, to, from);
      try {
        return diffTrees(this.engine, before, to);
      } catch (error) {
        if (!isFsError(error, 'EBUSY')) throw error;
      }
      // One of the two may be mounted. Asks the owner only in this case, since the answer may take a while.
      return diffTrees(this.engine, before, to, await trees.settleElsewhere([before, to]));
    });
    return changes.map((change) => {
      const from = change.from === undefined ? undefined : nameToString(change.from);
      return { ...change, path: nameToString(change.path), from };
    });
  }

  /** Removes a fork or snapshot. EBUSY while it is open or mounted, ENOENT when there is none. */
  async drop(name: string): Promise<void> {
    checks.checkString(name, 'name');
    named('drop', name, () => this.engine.drop(name));
  }

  /**
   * Keeps only one copy, on disk and in memory, of equal blocks in all trees, or in some. The trees may be in use. `gc`
   * then frees the space. If dedupe ends early or is killed, nothing is lost, and the next call continues. ENOENT (a
   * tree), EBUSY (another dedupe is running), ENOSPC.
   */
  async dedupe(options: StoreDedupeOptions = {}): Promise<DedupeReport> {
    checks.checkOptions(options, checks.DEDUPE);
    return await reaching(this.engine, 'dedupe', this.directory, async (trees) => {
      const frozenElsewhere = await trees.freezeElsewhere(options.trees);
      return await dedupeStore(this.engine, { ...options, frozenElsewhere });
    });
  }

  /** Gives back the space that no tree needs any more. */
  async gc(): Promise<GcReport> {
    return collectGarbage(this.engine);
  }

  /** Checks the whole store, reports what is wrong, changes nothing. `scrub` reads and verifies every block. */
  async fsck(options: FsckOptions = {}): Promise<FsckReport> {
    checks.checkOptions(options, checks.FSCK);
    return checkStore(this.engine, options);
  }

  /** Closes every tree that was opened through this store, ends its mounts, then closes the store. */
  async close(): Promise<void> {
    for (const mount of [...this.#mounts]) await mount.abandon();
    for (const tree of [...this.#trees]) tree.close();
    await this.engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // For Fork and Snapshot.

  /** @internal */
  openTree(name: string, operation: 'fork' | 'snapshot'): OpenTree {
    return this.#wrap(named(operation, name, () => this.engine.openTree(name)));
  }

  /** @internal */
  forkOf(source: string, name: string): Fork {
    const tree = named('fork', name, () => this.engine.fork(source, name));
    return new Fork(this, this.#wrap(tree), name, source);
  }

  /** @internal */
  snapshotOf(source: string, name: string): Snapshot {
    named('snapshot', name, () => this.engine.snapshot(source, name));
    return new Snapshot(this, name);
  }

  /** @internal The fork must be closed in this process. */
  async mountFork(
    name: string,
    directory: string,
    options: MountOptions,
    onEnd: () => void,
  ): Promise<ForkMount> {
    // The owner process would open the store to write.
    this.engine.tables.requireWritable();
    const { engine } = this;
    const ended = (mount: ForkMount): void => {
      this.#mounts.delete(mount);
      onEnd();
    };
    const parts = { engine, name, countSpace: this.#countSpace, onEnd: ended };
    const mount = await mountFork(parts, directory, options);
    this.#mounts.add(mount);
    return mount;
  }

  readonly #countSpace = (): SpaceCounts => statfsSync(this.directory);

  #wrap(tree: Tree): OpenTree {
    const open = new OpenTree(tree, this.#countSpace, (closed) => this.#trees.delete(closed));
    this.#trees.add(open);
    return open;
  }
}
