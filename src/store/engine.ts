/**
 * The store: opens, wires and owns everything, and carries out the operations on trees by name.
 *
 * Each operation (fork, snapshot, drop) takes effect in one LMDB transaction, durable when it returns. Invariants: a
 * writable layer belongs to exactly one fork and is the upper layer of no other; a frozen layer never changes; every
 * layer that a tree stands on exists (fsck passes `trees` and `layers`).
 *
 * The parts: `OpenTrees` has the trees that are open here and the lease for them; `Stacks` opens and freezes the layers
 * of a tree; `ChainCache` has the frozen layers under trees; `Sealer` and `Flattener` work in the background.
 */
import { FsError, isDiskFull, isFsError, type PlainFsError } from '../base/index.ts';
import { BlobSpace } from '../blob/index.ts';
import { PROCESS_TREE_CACHE } from '../layer/index.ts';
import { HostLayer } from '../lower/index.ts';
import { processMapBudget } from '../mapping/index.ts';
import { MetaTables } from '../meta/index.ts';
import { createSystem, type System } from '../sys/index.ts';
import { requireOwnStore, warnIfExposed } from './access.ts';
import { ChainCache } from './chain-cache.ts';
import { Flattener } from './flattener.ts';
import { CHAIN_LAYERS_MAX } from './flattening.ts';
import { hostSource } from './host-source.ts';
import { LayerBuilder } from './layer-builder.ts';
import { checkLayout, checkTreeName, createLayout, pathExists, StoreLayout, storeClosed } from './layout.ts';
import { Lease } from './leases.ts';
import { isHostPath, LOWERS_SEPARATOR, requireLowers } from './lowers.ts';
import { OpenTrees } from './open-trees.ts';
import { PrivateCopy } from './private-copy.ts';
import { Reserve } from './reserve.ts';
import { Sealer } from './sealer.ts';
import { Stacks } from './stacks.ts';
import type { StoreCounts, StoreOptions } from './store-options.ts';
import type { StoreParts } from './store-parts.ts';
import { Tree, type TreeInfo } from './tree.ts';
import { TreeRows } from './tree-rows.ts';

/** Milliseconds between two commit marks. A power cut loses the changes of this time at most. */
const COMMIT_MARK_MS = 2_000;

interface OpenedStore {
  readonly layout: StoreLayout;
  readonly system: System;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly lease: Lease;
  readonly reserve: Reserve;
  readonly privateCopy: PrivateCopy | undefined;
}

/** True for an error that prevents writing to a store, but perhaps not reading it. */
function isUnwritable(error: unknown): error is FsError {
  return isDiskFull(error) || (isFsError(error) && ['EROFS', 'EACCES', 'EPERM'].includes(error.code));
}

/**
 * The code and note of the error that every change gets in a store that is open for reading only. `cause` is the error
 * with which opening the store for writing failed; undefined if the caller asked for reading only.
 */
function readOnlyBecause(cause: FsError | undefined): Pick<PlainFsError, 'code' | 'note'> {
  if (cause === undefined) return { code: 'EROFS', note: 'the store was opened for reading only' };
  const note = `the store is open for reading only, since it cannot be written: ${cause.message}`;
  return { code: isDiskFull(cause) ? cause.code : 'EROFS', note };
}

export class StoreEngine implements StoreParts {
  readonly system: System;
  readonly layout: StoreLayout;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly rows: TreeRows;
  readonly chains: ChainCache;
  readonly openTrees: OpenTrees;
  readonly sealer: Sealer;
  readonly flattener: Flattener;
  readonly reserve: Reserve;
  readonly privateCopy: PrivateCopy | undefined;
  private readonly stacks: Stacks;
  private readonly lease: Lease;
  private readonly timer: NodeJS.Timeout | undefined;
  private isOpen = true;

  private constructor(opened: OpenedStore, options: StoreOptions) {
    const { chainLayersMax = CHAIN_LAYERS_MAX, commitMarkMs = COMMIT_MARK_MS } = options;
    const { layout, system, reserve } = opened;
    this.layout = layout;
    this.system = system;
    this.tables = opened.tables;
    this.blobs = opened.blobs;
    this.lease = opened.lease;
    this.reserve = reserve;
    this.privateCopy = opened.privateCopy;
    this.rows = new TreeRows(this.tables, system.clock, layout.directory);
    this.chains = new ChainCache(this);
    this.blobs.externals.source = this.chains;
    this.openTrees = new OpenTrees(this, this.chains, this.lease);
    this.sealer = new Sealer(this.tables, this.blobs);
    this.stacks = new Stacks(this, options.cache ?? PROCESS_TREE_CACHE);
    this.flattener = new Flattener(this, chainLayersMax, () => this.openTrees.followChains());
    reserve.keep();
    // An infinite `commitMarkMs` means no commit marks. No timer can wait that long, so there is none.
    if (Number.isFinite(commitMarkMs) && !this.isReadOnly)
      this.timer = setInterval(() => this.openTrees.keepUp(), commitMarkMs).unref();
  }

  /** Makes an empty store. ERR_STORE_EXISTS, ERR_STORE_OWNER; errors of the host. */
  static initialize(directory: string, trustStore?: boolean): void {
    const system = createSystem();
    requireOwnStore(system, directory, trustStore);
    createLayout(system, new StoreLayout(directory));
  }

  /** Opens a store. ERR_STORE_NOT_FOUND (unless `create`), ERR_STORE_OWNER, ERR_STORE_VERSION, ERR_STORE_CORRUPT. */
  static async open(directory: string, options: StoreOptions = {}): Promise<StoreEngine> {
    const system = options.system ?? createSystem();
    const layout = new StoreLayout(directory);
    requireOwnStore(system, directory, options.trustStore);
    if (options.create === true && !pathExists(system, layout.versionPath)) createLayout(system, layout);
    checkLayout(system, layout);
    warnIfExposed(system, layout, options);
    if (options.readOnly === true) return await StoreEngine.openToRead(layout, system, options, undefined);
    try {
      return StoreEngine.openToWrite(layout, system, options);
    } catch (error) {
      if (options.readOnly !== 'if-needed' || !isUnwritable(error)) throw error;
      return await StoreEngine.openToRead(layout, system, options, error);
    }
  }

  private static openToWrite(layout: StoreLayout, system: System, options: StoreOptions): StoreEngine {
    const reserve = new Reserve(system, layout.reservePath);
    // Take the lease first: in a store that cannot be written this fails, and so LMDB never tries to open the store.
    const lease = reserve.during(() => Lease.take(system, layout.runDirectory));
    try {
      const tables = reserve.during(() => MetaTables.open(layout.metaDirectory, system, options));
      const blobs = new BlobSpace(system, layout.blobsDirectory);
      return new StoreEngine(
        { layout, system, tables, blobs, lease, reserve, privateCopy: undefined },
        options,
      );
    } catch (error) {
      lease.close();
      throw error;
    }
  }

  private static async openToRead(
    source: StoreLayout,
    system: System,
    options: StoreOptions,
    cause: FsError | undefined,
  ): Promise<StoreEngine> {
    const blobs = new BlobSpace(system, source.blobsDirectory, { isReadOnly: true });
    const open = (directory: string): MetaTables => MetaTables.open(directory, system, options);
    const { copy, tables } = await PrivateCopy.take(system, source, blobs, open);
    tables.readOnly = { syscall: 'write', path: source.directory, ...readOnlyBecause(cause) };
    const { layout } = copy;
    const reserve = new Reserve(system, undefined);
    const lease = Lease.take(system, layout.runDirectory);
    return new StoreEngine({ layout, system, tables, blobs, lease, reserve, privateCopy: copy }, options);
  }

  /** Closes every tree, stores everything, and releases the lease. May be called twice. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    clearInterval(this.timer);
    this.sealer.stop();
    this.flattener.stop();
    const failures = this.openTrees.closeAll();
    this.isOpen = false;
    await this.blobs.fetches.settle();
    this.chains.close();
    this.blobs.close();
    this.lease.close();
    await this.tables.close();
    this.privateCopy?.remove();
    this.reserve.keep();
    // Throw only the first failure. All trees are closed nevertheless, and the journals have every acknowledged change.
    if (failures.length > 0) throw failures[0];
  }

  /** True if this process cannot change anything in the store. */
  get isReadOnly(): boolean {
    return this.privateCopy !== undefined;
  }

  get directory(): string {
    return this.layout.directory;
  }

  /** ERR_STORE_CLOSED after `close`. */
  requireOpen(operation: string): void {
    if (!this.isOpen) throw storeClosed(operation, this.directory);
  }

  /** Counts of what this process did and holds, for people and tests. */
  get counts(): StoreCounts {
    const { usedCount, limit, gatheredBlocks } = processMapBudget(() => this.system.mapCountMax());
    return { ...this.blobs.counts, mappings: usedCount, mappingsMax: limit, gatheredBlocks };
  }

  // Trees by name.

  list(): TreeInfo[] {
    this.requireOpen('list');
    this.tables.renew();
    return [...this.tables.trees.entries()].map(([name, record]) => ({ name, ...record }));
  }

  /** ENOENT when there is no such fork or snapshot. */
  info(name: string, operation = 'open'): TreeInfo {
    this.requireOpen(operation);
    this.tables.renew();
    const record = this.tables.trees.get(name);
    if (record === undefined) {
      throw new FsError('ENOENT', {
        syscall: operation,
        path: name,
        note: 'no fork or snapshot of this name: see `ramet ls`',
      });
    }
    return { name, ...record };
  }

  // Opening.

  /**
   * Opens a tree: a fork to read and write, a snapshot to read. First replays the journal that a dead owner left. With
   * `isPatient`, waits a little for a living owner to close the fork. ENOENT; EBUSY when the fork is open already, here
   * or in another process (the message names the process).
   */
  openTree(name: string, isPatient = true): Tree {
    this.requireOpen('open');
    if (this.openTreeOf(name) !== undefined) {
      const note = `it is open in this process (${process.pid})`;
      throw new FsError('EBUSY', { syscall: 'open', path: name, note });
    }
    for (;;) {
      try {
        return this.reserve.during(() => this.openLeased(() => this.info(name), isPatient));
      } catch (error) {
        // An owner froze the tree after its row was read, so the tree now has another layer: try again.
        if (!isFsError(error, 'EAGAIN')) throw error;
      }
    }
  }

  /** Opens, for reading, the state of a tree in a frozen layer. Some tree must stand on that layer. */
  openState(state: TreeInfo): Tree {
    return this.openLeased(() => state, false);
  }

  /** Opens the tree that `find` returns. Takes the lease first, before `find` and all that follows read any row. */
  private openLeased(find: () => TreeInfo, isPatient: boolean): Tree {
    const tree = this.openTrees.open((onClosed) => {
      const info = find();
      return new Tree(info, (keeper) => this.stacks.open(info, isPatient, keeper), this.reserve, onClosed);
    });
    if (!this.isReadOnly) this.flattener.look(tree.stack.lowers);
    return tree;
  }

  /** The fork of this name if it is open in this process. */
  openTreeOf(name: string): Tree | undefined {
    return this.openTrees.fork(name);
  }

  /** Runs `use` with a fork. If the fork is not open here, opens it first and closes it afterwards. */
  private withFork(name: string, use: (tree: Tree) => void): void {
    const open = this.openTreeOf(name);
    const tree = open ?? this.openTree(name);
    try {
      use(tree);
    } finally {
      if (open === undefined) tree.close();
    }
  }

  // Forks and snapshots.

  /**
   * Makes a writable fork of a snapshot or of a fork, and opens it. Takes constant time, plus the time to store changes
   * that so far only the source's journal has. EINVAL (name), EEXIST, ENOENT (source), EBUSY (the source is a fork that
   * another process owns).
   */
  fork(source: string, name: string): Tree {
    return this.makeFork(name, () => {
      const info = this.frozenInfo(source, 'fork');
      return () => this.rows.insertFork(name, info.root, this.rows.frozenTop(info, 'fork'), source);
    });
  }

  /** Makes an empty writable tree with nothing under it. EINVAL, EEXIST. */
  createEmpty(name: string): Tree {
    return this.makeFork(name, () => () => this.rows.insertEmptyFork(name));
  }

  /** Makes a writable tree over a directory of the host: docs/host-trees.md. EINVAL, EEXIST, ENOENT, ENOTDIR, ELOOP. */
  forkHost(directory: string, name: string, isPinned: boolean): Tree {
    return this.makeFork(name, () => {
      const source = hostSource(this.system, directory, isPinned);
      return () => this.rows.insertHostFork(name, source, HostLayer.rootOf(source));
    });
  }

  /**
   * Makes a writable tree over several lowers, merged as in docs/unions.md. `lowers` has them uppermost first: trees by
   * name, and directories of the host by path. Freezes forks among them. EINVAL (name, a lower named twice, more than
   * 500), EEXIST, ENOENT, EBUSY; for directories also the errors of `forkHost`.
   */
  forkUnion(lowers: readonly string[], name: string, isPinned = false): Tree {
    const { rows } = this;
    return this.makeFork(name, () => {
      requireLowers(lowers, name);
      const found = lowers.map((lower) =>
        isHostPath(lower) ? hostSource(this.system, lower, isPinned) : this.info(lower, 'fork'),
      );
      for (const lower of found) if ('kind' in lower) this.frozenInfo(lower.name, 'fork');
      return () => {
        const tops = found.map((lower) =>
          'kind' in lower ? rows.frozenTop(lower, 'fork') : rows.hostLayer(lower, HostLayer.rootOf(lower)),
        );
        rows.insertUnionFork(name, tops, lowers.join(LOWERS_SEPARATOR));
      };
    });
  }

  /**
   * Makes a fork and opens it. Calls `prepare` once the name is known to be free, and the function that `prepare`
   * returns in the transaction.
   */
  private makeFork(name: string, prepare: () => () => void): Tree {
    checkTreeName(name, 'fork');
    this.requireOpen('fork');
    this.tables.renew();
    this.rows.requireFree(name, 'fork');
    const insert = prepare();
    this.tables.transaction(() => {
      this.rows.requireFree(name, 'fork');
      insert();
    });
    return this.openTree(name);
  }

  /**
   * The info of a tree on which a new layer will stand, as it was before this call froze the tree's upper layer (for a
   * fork). `rows.frozenTop` then finds the frozen layer.
   */
  private frozenInfo(name: string, operation: string): TreeInfo {
    const info = this.info(name, operation);
    if (info.kind === 'fork') this.withFork(name, (tree) => this.freeze(tree));
    this.tables.renew();
    return info;
  }

  /**
   * Freezes the upper layer of an open fork and puts a new one over it; readers notice nothing. Leaves an empty upper
   * layer over another layer as it is. Everything acknowledged is durable when this returns. `inTransaction` runs in
   * the same transaction.
   */
  freeze(tree: Tree, inTransaction?: () => void): void {
    this.tables.requireWritable();
    if (this.stacks.freeze(tree, inTransaction)) this.flattener.lookGrown(tree.stack.lowers);
  }

  /** A snapshot of a fork as it is now, or of another snapshot. EINVAL (name), EEXIST, ENOENT, EBUSY. */
  snapshot(source: string, name: string): TreeInfo {
    checkTreeName(name, 'snapshot');
    const info = this.info(source, 'snapshot');
    this.rows.requireFree(name, 'snapshot');
    const insert = (): void => {
      this.rows.requireFree(name, 'snapshot');
      this.rows.insertSnapshot(name, this.rows.frozenTop(info, 'snapshot'), info.root, source);
    };
    if (info.kind === 'snapshot') this.tables.transaction(insert);
    else this.withFork(source, (tree) => this.freeze(tree, insert));
    return this.info(name);
  }

  /**
   * Removes a fork or snapshot by name. Trees that stand on it stay whole: its layers live until the last such tree is
   * gone, and then gc frees the space. ENOENT; EBUSY for a fork that is open, here or elsewhere.
   */
  drop(name: string): void {
    const info = this.info(name, 'drop');
    if (info.kind === 'snapshot') {
      this.reserve.during(() => this.tables.transaction(() => void this.tables.trees.remove(name)));
      return;
    }
    if (this.openTreeOf(name) !== undefined) {
      throw new FsError('EBUSY', {
        syscall: 'drop',
        path: name,
        note: 'it is open in this process: close it first',
      });
    }
    this.reserve.during(() => this.stacks.drop(info));
  }

  /**
   * A builder that makes a frozen layer in bulk, for import. The layer stands on `over`, a tree that stays as it is.
   * EINVAL, EEXIST, ENOENT (`over`), EBUSY (`over` is a fork that another process owns).
   */
  buildLayer(name: string, source: string, over?: string): LayerBuilder {
    this.requireOpen('import');
    checkTreeName(name, 'import');
    this.rows.requireFree(name, 'import');
    const below = over === undefined ? undefined : this.frozenInfo(over, 'import');
    const base = below && this.chains.storedTree({ ...below, layer: this.rows.frozenTop(below, 'import') });
    if (base?.live !== undefined) {
      // A directory of the host may change, so a layer over it would not stay as it is.
      const note = 'it stands on a directory of the host, which may change: import that first';
      throw new FsError('EINVAL', { syscall: 'import', path: base.info.name, note });
    }
    return new LayerBuilder(this, { name, source, base });
  }
}
