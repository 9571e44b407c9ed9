/**
 * The public facade: a `Store` holds snapshots and forks; a `Fork` is a writable tree, a `Snapshot` a frozen one, each
 * with an `fs` that passes as node:fs. Failures are errors in Node's shape (`ENOENT: …, fork 'try-1'`), and
 * `StoreError` where the store itself is at fault.
 */
import { statfsSync } from 'node:fs';
import { resolve } from 'node:path';
import { assert, isFsError, nameToString } from '../../base/index.ts';
import type { View } from '../../mapping/index.ts';
import type { Change, FsckOptions, FsckReport, GcReport, Tree, TreeInfo } from '../../store/index.ts';
import { type CacheLimits, diffTrees, StoreEngine, TreeCache } from '../../store/index.ts';
import type { OpenFile } from '../../vfs/index.ts';
import { MountedTrees } from '../owner/index.ts';
import type { ImportOptions, ImportReport } from '../transfer/index.ts';
import { importTree } from '../transfer/index.ts';
import { checkInteger } from './arguments.ts';
import type { SpaceCounts } from './core.ts';
import { failureOf, systemFailure } from './errors.ts';
import { openFile } from './files.ts';
import { READ_ONLY } from './flags.ts';
import { checkMountPoint, type ForkMount, type MountOptions, mountFork, treeFailure } from './fork-mount.ts';
import type { NodeFs, NodeFsWithDescriptors } from './fs.ts';
import { createNodeFsWithDescriptors } from './fs.ts';

export interface OpenOptions {
  /** Makes the store where there is none. True unless told. */
  readonly create?: boolean;
  /**
   * What this store's open trees may keep in memory of what they have read. Unless told, all stores of the process
   * share 131,072 inodes and 1,048,576 names.
   */
  readonly cache?: CacheLimits;
}

export interface StoreImportOptions extends ImportOptions {
  /** Told, once the import is done, what it did and what did not come over as it was. */
  readonly onReport?: (report: ImportReport) => void;
}

export interface ForkOptions {
  readonly name: string;
  /**
   * What to stand on: a tree by name, or a directory of the host by a path with a slash in it (`./repo`); none for an
   * empty tree. Nothing of a directory is read ahead, and it is never written; docs/host-trees.md says what the fork
   * shows where it changes later.
   */
  readonly lowers: readonly string[];
  /** Over a directory: the first change of a file takes its bytes, so that the host file may change afterwards. */
  readonly pin?: boolean;
}

export interface MapFileOptions {
  /** Reads and verifies every block first: EIO instead of damaged bytes. */
  readonly verify?: boolean;
  /** Address space to reserve, in bytes, for a file that will grow while it is mapped. */
  readonly reserveBytes?: number;
}

/** A tree's name has no slash: what has one is a path. */
function isHostPath(lower: string): boolean {
  return lower.includes('/') || lower === '.' || lower === '..';
}

/** Runs a call of the engine; what fails carries the name of the operation and the tree. */
function named<T>(operation: string, name: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw treeFailure(operation, name, error);
  }
}

/** An open tree with its fs: what Fork and Snapshot have in common. */
class OpenTree {
  readonly tree: Tree;
  private readonly countSpace: () => SpaceCounts;
  private nodeFs: NodeFsWithDescriptors | undefined;
  private readonly onClose: (tree: OpenTree) => void;
  private isOpen = true;

  constructor(tree: Tree, countSpace: () => SpaceCounts, onClose: (tree: OpenTree) => void) {
    this.tree = tree;
    this.onClose = onClose;
    this.countSpace = countSpace;
  }

  /** Made when it is first asked for: some hundred functions, which a fork that waits its turn has no use for. */
  private get calls(): NodeFsWithDescriptors {
    const { countSpace } = this;
    this.nodeFs ??= createNodeFsWithDescriptors(this.tree.fileSystem, { countSpace });
    return this.nodeFs;
  }

  get fs(): NodeFs {
    return this.calls.fs;
  }

  /** Files of it are open or mapped. */
  get isInUse(): boolean {
    for (const inode of this.tree.stack.inodes.values()) if (inode.isInUse) return true;
    return false;
  }

  map(file: string | Uint8Array | URL | number, options: MapFileOptions): View {
    const { fileSystem } = this.tree;
    const isDescriptor = typeof file === 'number';
    const open = isDescriptor ? this.calls.fileOf(file, 'mmap') : openFile(fileSystem, file, READ_ONLY, 0);
    try {
      // The cast: this tree's own files alone are in its fs.
      return fileSystem.map(open as OpenFile, options);
    } catch (error) {
      throw failureOf(error, 'mmap', isDescriptor ? undefined : file);
    } finally {
      // The view keeps the file alive, as a mapping does on Linux.
      if (!isDescriptor) fileSystem.close(open as OpenFile);
    }
  }

  /** Closes the descriptors, then the tree. May be called twice. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.onClose(this);
    this.nodeFs?.closeAll();
    this.tree.close();
  }
}

/** A frozen tree. Its fs reads; what would write fails with EROFS. */
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
    return this.#store.forkOf(this.name, name);
  }

  /** What differs between this tree and `other`, the name of any tree. */
  async diff(other: string): Promise<Change[]> {
    return this.#store.diff(other, this.name);
  }

  /** Closes the tree where it was opened; descriptors of its fs become invalid. */
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
  #state: 'open' | 'mounting' | 'mounted' | 'unmounted' | 'closed' = 'open';

  constructor(store: Store, tree: OpenTree, name: string, source: string) {
    this.#store = store;
    this.#open = tree;
    this.name = name;
    this.#source = source;
  }

  /** The tree where this process owns it. EBUSY while it is mounted, EBADF once the fork is closed. */
  #tree(operation: string): OpenTree {
    switch (this.#state) {
      case 'mounting':
        throw systemFailure('EBUSY', operation, this.name, undefined, 'it is being mounted or unmounted');
      case 'mounted':
        throw systemFailure('EBUSY', operation, this.name, undefined, this.#whereMounted());
      case 'closed':
        throw systemFailure('EBADF', operation, this.name);
      case 'unmounted':
        // EBUSY where programs still use what was unmounted lazily.
        this.#open = this.#store.openTree(this.name, 'fork');
        this.#state = 'open';
    }
    assert(this.#open !== undefined, 'an open fork has its tree');
    return this.#open;
  }

  #whereMounted(): string {
    return `it is mounted at ${this.#mount?.directory ?? 'a directory'}: unmount it first`;
  }

  /**
   * The tree as node:fs. EBADF once the fork is closed. While the fork is mounted it is another one, which goes through
   * the mount point.
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

  /** What differs from `other`, the name of any tree; from the tree it was forked from unless told. */
  async diff(other: string = this.#source): Promise<Change[]> {
    return this.#store.diff(other, this.name);
  }

  /** Freezes the tree as it is now under a new name, and goes on. */
  async snapshot(name: string): Promise<Snapshot> {
    if (this.#mount === undefined) {
      this.#tree('snapshot');
      return this.#store.snapshotOf(this.name, name);
    }
    await this.#mount.snapshot(name);
    return await this.#store.snapshot(name);
  }

  /** A new fork of the tree as it is now; this one goes on by itself. */
  async fork(name: string): Promise<Fork> {
    if (this.#mount === undefined) {
      this.#tree('fork');
      return this.#store.forkOf(this.name, name);
    }
    await this.#mount.fork(name);
    return await this.#store.fork(name);
  }

  /**
   * Mounts the fork at an empty directory, or at the one that it stands on, for every program. Its layer goes to the
   * store's owner process until the mount is unmounted or disposed of; this handle works on through the mount, and its
   * `fs` has to be taken anew, then and afterwards. EBUSY while files of it are open or mapped here; ENOENT, ENOTDIR,
   * ENOTEMPTY, EBUSY of the directory; ENODEV, EPERM where the host does not let us.
   */
  async mount(directory: string, options: MountOptions = {}): Promise<ForkMount> {
    const tree = this.#tree('mount');
    const place = named('mount', this.name, () => checkMountPoint(directory, this.#source));
    if (tree.isInUse) {
      const note = 'files of it are open or mapped in this process: close them first';
      throw systemFailure('EBUSY', 'mount', this.name, undefined, note);
    }
    this.#state = 'mounting';
    this.#open = undefined;
    try {
      tree.close();
      this.#mount = await this.#store.mountFork(this.name, place, options, () => this.#takeBack());
      this.#state = 'mounted';
      return this.#mount;
    } catch (error) {
      this.#state = 'unmounted';
      throw treeFailure('mount', this.name, error);
    }
  }

  #takeBack(): void {
    this.#mount = undefined;
    if (this.#state !== 'closed') this.#state = 'unmounted';
  }

  /**
   * Closes the fork; what was written is safe. A mount of it ends, lazily where it is busy. Closing twice is no
   * error.
   */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.#open?.close();
    this.#open = undefined;
    await this.#mount?.abandon();
  }

  /** Closes, removes nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export class Store {
  /** The engine below, for other interfaces of this package. */
  readonly engine: StoreEngine;
  readonly #trees = new Set<OpenTree>();
  readonly #mounts = new Set<ForkMount>();

  private constructor(engine: StoreEngine) {
    this.engine = engine;
  }

  /** Opens the store in `directory`, and makes it where there is none. ERR_STORE_NOT_FOUND with `create: false`. */
  static async open(directory: string, options: OpenOptions = {}): Promise<Store> {
    const { create = true, cache } = options;
    if (cache !== undefined) {
      checkInteger(cache.inodesMax, 'options.cache.inodesMax', 1);
      checkInteger(cache.namesMax, 'options.cache.namesMax', 1);
    }
    const limits = cache === undefined ? {} : { cache: new TreeCache(cache) };
    return new Store(await StoreEngine.open(directory, { create, ...limits }));
  }

  get directory(): string {
    return this.engine.directory;
  }

  /** Makes a snapshot of a directory of the host. EEXIST when the name is taken. */
  async import(hostDirectory: string, options: StoreImportOptions): Promise<Snapshot> {
    const { onReport, ...rest } = options;
    const report = await importTree(this.engine, hostDirectory, rest);
    onReport?.(report);
    return this.snapshot(options.name);
  }

  /** The snapshot of that name. ENOENT when there is none, EINVAL when it is a fork. */
  async snapshot(name: string): Promise<Snapshot> {
    const info = named('snapshot', name, () => this.engine.info(name));
    if (info.kind !== 'snapshot') throw systemFailure('EINVAL', 'snapshot', name, undefined, 'it is a fork');
    return new Snapshot(this, name);
  }

  /** Opens the fork of that name. ENOENT when there is none, EBUSY while another process has it open. */
  async fork(name: string): Promise<Fork> {
    const info = named('fork', name, () => this.engine.info(name));
    if (info.kind !== 'fork') throw systemFailure('EINVAL', 'fork', name, undefined, 'it is a snapshot');
    return new Fork(this, this.openTree(name, 'fork'), name, info.source);
  }

  /**
   * A new writable tree over `lowers`: a tree, a directory of the host, or nothing. EEXIST, EINVAL (the name), ENOENT
   * and ENOTDIR of what it is to stand on, ELOOP for a directory that is a mount of Ramet.
   */
  async createFork(options: ForkOptions): Promise<Fork> {
    const { name, lowers } = options;
    const [lower, ...others] = lowers;
    if (others.length > 0) {
      throw systemFailure('EINVAL', 'fork', name, undefined, 'a fork stands on one tree, or on none');
    }
    if (lower !== undefined && isHostPath(lower)) {
      const fork = named('fork', name, () =>
        this.engine.forkHost(resolve(lower), name, options.pin === true),
      );
      return new Fork(this, this.#wrap(fork), name, this.engine.info(name).source);
    }
    if (lower !== undefined) return this.forkOf(lower, name);
    return new Fork(this, this.#wrap(named('fork', name, () => this.engine.createEmpty(name))), name, '');
  }

  /** Every fork and snapshot. */
  async list(): Promise<TreeInfo[]> {
    return this.engine.list();
  }

  /** How the tree `to` differs from the tree `from`: what was added, removed, modified. Paths are absolute text. */
  async diff(from: string, to: string): Promise<Change[]> {
    const changes = await this.#changes(from, to);
    return changes.map((change) => ({ ...change, path: nameToString(change.path) }));
  }

  async #changes(from: string, to: string): Promise<Change[]> {
    try {
      return diffTrees(this.engine, from, to);
    } catch (error) {
      if (!isFsError(error, 'EBUSY')) throw treeFailure('diff', to, error);
    }
    // One of them may be mounted: the owner brings it up to date, and nobody needs to open it.
    const mounted = new MountedTrees(this.directory, this.engine.system);
    try {
      return diffTrees(this.engine, from, to, await mounted.settle(new Set([from, to])));
    } catch (error) {
      throw treeFailure('diff', to, error);
    } finally {
      await mounted.close();
    }
  }

  /** Removes a fork or snapshot. EBUSY while it is open or mounted, ENOENT when there is none. */
  async drop(name: string): Promise<void> {
    named('drop', name, () => this.engine.drop(name));
  }

  /** Gives back the space that no tree needs any more. */
  async gc(): Promise<GcReport> {
    return this.engine.gc();
  }

  /** Checks the whole store, reports what is wrong, changes nothing. `scrub` reads and verifies every block. */
  async fsck(options: FsckOptions = {}): Promise<FsckReport> {
    return this.engine.fsck(options);
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

  // What Fork and Snapshot use.

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

  /** @internal The fork must be closed here. */
  async mountFork(
    name: string,
    directory: string,
    options: MountOptions,
    onEnd: () => void,
  ): Promise<ForkMount> {
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
