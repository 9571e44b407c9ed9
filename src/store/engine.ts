/**
 * The store: opens, wires and owns everything. Forks and snapshots by name, the layers under them, the lease of this
 * process, and the timers.
 *
 * Store-level operations (fork, snapshot, drop) are one LMDB transaction each, durable when they return. Invariants:
 * a writable layer belongs to exactly one fork and is the upper of no other; a frozen layer never changes; every
 * layer that a tree stands on is there (fsck passes `trees` and `layers`).
 */

import { FsError, isFsError, type LayerId, StoreError } from '../base/index.ts';
import { BlobSpace } from '../blob/index.ts';
import {
  LayerStack,
  processTreeCache,
  recover,
  type StackKeeper,
  type StackParts,
  type TreeCache,
  undropLayer,
} from '../layer/index.ts';
import { FrozenLayer, HostLayer, type Lower } from '../lower/index.ts';
import { processMapBudget } from '../mapping/index.ts';
import { MetaTables } from '../meta/index.ts';
import { createSystem, type System } from '../sys/index.ts';
import { ChainCache } from './chain-cache.ts';
import { ExtentFollower } from './extent-follower.ts';
import { Flattener } from './flattener.ts';
import { CHAIN_LAYERS_MAX } from './flattening.ts';
import { frozenTopOf } from './frozen-top.ts';
import { hostSource } from './host-source.ts';
import { LayerBuilder } from './layer-builder.ts';
import { checkLayout, checkTreeName, createLayout, pathExists, StoreLayout, storeClosed } from './layout.ts';
import { settleLease } from './lease-settling.ts';
import { Lease } from './leases.ts';
import { Sealer } from './sealer.ts';
import type { StoreCounts, StoreOptions } from './store-options.ts';
import { requireStored, StoredTree } from './stored-tree.ts';
import { Tree, type TreeInfo } from './tree.ts';
import { TreeRows } from './tree-rows.ts';
import { prepareUnion } from './union-lowers.ts';
import { retire, Uppers } from './uppers.ts';

/** A commit mark is written this often, so that a power cut loses no more than this. */
const COMMIT_MARK_MS = 2_000;
/** A fork whose chain would be so many times longer than it should be flattens it first: nothing else got to it. */
const CHAIN_OVERRUN = 4;

export class StoreEngine {
  readonly directory: string;
  readonly layout: StoreLayout;
  readonly system: System;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly sealer: Sealer;
  readonly flattener: Flattener;
  private readonly chainLayersMax: number;
  private readonly cache: TreeCache;
  readonly rows: TreeRows;
  private readonly lease: Lease;
  private readonly trees = new Map<string, Tree>();
  private readonly leaseTokens = new Map<Tree, object>();
  private readonly chains: ChainCache;
  private readonly follower: ExtentFollower;
  readonly uppers: Uppers;
  private readonly timer: NodeJS.Timeout | undefined;
  /** The layers from a frozen one down to the base. */
  readonly lowersFrom = (layer: LayerId): readonly Lower[] => this.chains.under(layer);
  private isOpen = true;

  private constructor(layout: StoreLayout, system: System, options: StoreOptions) {
    const { chainLayersMax = CHAIN_LAYERS_MAX, commitMarkMs = COMMIT_MARK_MS } = options;
    this.layout = layout;
    this.directory = layout.directory;
    this.system = system;
    this.tables = MetaTables.open(layout.metaDirectory, system, options);
    this.blobs = new BlobSpace(system, layout.blobsDirectory);
    this.lease = Lease.take(system, layout.runDirectory);
    this.rows = new TreeRows(this.tables, system.clock, layout.directory);
    const { tables, blobs, rows } = this;
    this.chains = new ChainCache({ system, tables, blobs }, rows, layout.directory);
    blobs.externals.source = this.chains;
    this.follower = new ExtentFollower(this.tables);
    this.uppers = new Uppers(this, this.rows);
    this.sealer = new Sealer(this.tables, this.blobs);
    this.chainLayersMax = chainLayersMax;
    this.cache = options.cache ?? processTreeCache();
    this.flattener = new Flattener(this, chainLayersMax, () => this.followChains());
    // A timer cannot wait for ever.
    if (Number.isFinite(commitMarkMs)) this.timer = setInterval(() => this.markAll(), commitMarkMs).unref();
  }

  /** Makes an empty store. ERR_STORE_EXISTS; errors of the host. */
  static initialize(directory: string, system: System = createSystem()): void {
    createLayout(system, new StoreLayout(directory));
  }

  /** Opens a store. ERR_STORE_NOT_FOUND (unless `create`), ERR_STORE_VERSION, ERR_STORE_CORRUPT. */
  static async open(directory: string, options: StoreOptions = {}): Promise<StoreEngine> {
    const system = options.system ?? createSystem();
    const layout = new StoreLayout(directory);
    if (options.create === true && !pathExists(system, layout.versionPath)) createLayout(system, layout);
    checkLayout(system, layout);
    return new StoreEngine(layout, system, options);
  }

  private get parts(): StackParts {
    const { tables, blobs, system } = this;
    return {
      tables,
      blobs,
      system,
      clock: system.clock,
      budget: processMapBudget(() => system.mapCountMax()),
      cache: this.cache,
    };
  }

  /** ERR_STORE_CLOSED. */
  requireOpen(operation: string): void {
    if (!this.isOpen) throw storeClosed(operation, this.directory);
  }

  // What there is.

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

  /** The tree of this name if it is open in this process. */
  openTreeOf(name: string): Tree | undefined {
    return this.trees.get(name);
  }

  get openTrees(): readonly Tree[] {
    return [...this.trees.values()];
  }

  /** Snapshots too. */
  private get allOpen(): readonly Tree[] {
    return [...this.leaseTokens.keys()];
  }

  /**
   * Stores what the open trees hold and moves this process's lease up, so that space dropped before can be given back.
   * False when a tree is open here that was dropped.
   */
  settleLease(): boolean {
    return settleLease(this.tables, this.lease, this.allOpen, this);
  }

  /** Open trees read the blocks that dedupe gave their files. False where something has to go on with the old ones. */
  followExtents(): boolean {
    return this.follower.follow(this.allOpen, () => this.followChains());
  }

  /** Flattens every chain of the store that is too long, at once: what the background did not get to. */
  flattenAll(): void {
    this.tables.renew();
    for (const { top, length } of this.chains.frozenTops()) this.flattener.look(top, length);
    this.flattener.finish();
  }

  /** What this process did and holds, for people and tests. */
  get counts(): StoreCounts {
    const { usedCount, limit, gatheredBlocks } = this.parts.budget;
    return { ...this.blobs.counts, mappings: usedCount, mappingsMax: limit, gatheredBlocks };
  }

  // Opening.

  /**
   * Opens a tree: a fork to read and write, a snapshot to read. ENOENT; EBUSY when the fork is open already, here or
   * in another process (the message names it). What a dead owner left in the journal is brought back first. With
   * `isPatient` an owner is given some time to go away, see `Uppers.take`.
   */
  openTree(name: string, isPatient = true): Tree {
    this.requireOpen('open');
    const open = this.trees.get(name);
    if (open !== undefined && !open.isReadOnly) {
      const note = `it is open in this process (${process.pid})`;
      throw new FsError('EBUSY', { syscall: 'open', path: name, note });
    }
    const tree = this.leased(() => this.openLatest(name, isPatient));
    if (!tree.isReadOnly) this.trees.set(name, tree);
    return tree;
  }

  /** Opens what a tree was in a frozen layer, to read. A tree must stand on that layer. */
  openState(state: TreeInfo): Tree {
    return this.leased(
      () =>
        new Tree(
          state,
          (keeper) => this.openStack(state, false, keeper),
          (tree) => this.forgetTree(tree),
        ),
    );
  }

  private leased(open: () => Tree): Tree {
    const token = {};
    this.tables.renew();
    this.lease.hold(token, this.tables.counters.get('epoch'));
    try {
      const tree = open();
      this.leaseTokens.set(tree, token);
      this.lookAtChain(tree);
      return tree;
    } catch (error) {
      this.lease.release(token);
      throw error;
    }
  }

  private lookAtChain({ stack: { lowers } }: Tree): void {
    if (lowers.length > 0) this.flattener.look(lowers[0]!.id, lowers.length);
  }

  /** Opens the tree as it is once its layer is ours: an owner that is just freezing it changes which layer that is. */
  private openLatest(name: string, isPatient: boolean): Tree {
    for (;;) {
      const info = this.info(name);
      try {
        return new Tree(
          info,
          (keeper) => this.openStack(info, isPatient, keeper),
          (tree) => this.forgetTree(tree),
        );
      } catch (error) {
        if (!isFsError(error, 'EAGAIN')) throw error;
      }
    }
  }

  private openStack(info: TreeInfo, isPatient: boolean, keeper: StackKeeper): LayerStack {
    const { parts } = this;
    const record = this.rows.layer(info.layer);
    if (record.state === 'frozen') {
      return new LayerStack(parts, keeper, info.root, undefined, this.chains.opened(info.layer));
    }
    const upper = this.uppers.take(info, record, 'open', isPatient);
    try {
      // Before the lock was ours the last owner may have frozen or dropped the layer.
      this.tables.renew();
      if (this.tables.trees.get(info.name)?.layer !== info.layer)
        throw new FsError('EAGAIN', { path: info.name });
      const stack = new LayerStack(parts, keeper, info.root, upper, this.chains.opened(upper.record.parent));
      recover(stack);
      undropLayer(this.tables, info.layer);
      return stack;
    } catch (error) {
      upper.abandon();
      throw error;
    }
  }

  /** Open trees stand on what the tables say from here on. */
  followChains(): void {
    this.chains.follow(this.allOpen);
  }

  /** How many layers there are under the writable layer of a fork, or under a snapshot, its own among them. */
  chainLength({ layer }: TreeInfo): number {
    this.tables.renew();
    return this.chains.frozenTop(layer).length;
  }

  private forgetTree(tree: Tree): void {
    if (this.trees.get(tree.info.name) === tree) this.trees.delete(tree.info.name);
    this.lease.release(this.leaseTokens.get(tree));
    this.leaseTokens.delete(tree);
    if (tree.stack.chain.derived !== undefined) this.chains.forgetUnused([...this.leaseTokens.keys()]);
  }

  // Forks and snapshots.

  /**
   * Makes a writable fork of a snapshot or of a fork, and opens it. O(1) from a clean source. EINVAL (name), EEXIST,
   * ENOENT (source), EBUSY (the source is a fork that another process owns).
   */
  fork(source: string, name: string): Tree {
    return this.makeFork(name, () => {
      const info = this.frozenInfo(source, 'fork');
      return () => this.rows.insertFork(name, info.root, frozenTopOf(this.tables, info, 'fork'), source);
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
   * Makes a writable tree over several, the uppermost first, merged by the rules of docs/unions.md: trees by name, and
   * directories of the host by paths. Forks among them are frozen for it. EINVAL (name, a lower named twice, more than
   * 500), EEXIST, ENOENT, EBUSY; of directories as `forkHost`.
   */
  forkUnion(lowers: readonly string[], name: string, isPinned = false): Tree {
    const { system, tables, rows } = this;
    const find = (lower: string): TreeInfo => this.info(lower, 'fork');
    const parts = { system, tables, rows, find, freeze: (lower: string) => this.frozenInfo(lower, 'fork') };
    return this.makeFork(name, () => prepareUnion(parts, lowers, name, isPinned));
  }

  /** `prepare` is called once the name is known to be free; what it returns belongs to the transaction. */
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

  /** A tree that something is to stand on. A fork is frozen for it. */
  private frozenInfo(name: string, operation: string): TreeInfo {
    const info = this.info(name, operation);
    if (info.kind === 'fork') this.freezeByName(name);
    this.tables.renew();
    return info;
  }

  /** A tree as the tables have it. */
  storedTree(info: TreeInfo): StoredTree {
    return new StoredTree(this.chains.stored(info.layer), info);
  }

  /** Freezes what a fork has, unless that is nothing. */
  private freezeByName(name: string): void {
    const open = this.trees.get(name);
    const tree = open ?? this.openTree(name);
    try {
      this.freeze(tree);
    } finally {
      if (open === undefined) tree.close();
    }
  }

  /**
   * Freezes the upper layer of an open fork and puts a fresh one over it: nothing that anyone sees changes. Everything
   * acknowledged is durable when it returns. `inTransaction` belongs to the same transaction.
   */
  freeze(tree: Tree, inTransaction?: () => void): void {
    const { stack } = tree;
    const { tables } = this;
    const old = stack.writable();
    if (old.isPristine && stack.dirty.size === 0 && old.record.parent !== 0) {
      if (inTransaction !== undefined) tables.transaction(inTransaction);
      return;
    }
    const next = this.uppers.freeze(tree, inTransaction);
    const record = this.rows.layer(old.id);
    const frozen = new FrozenLayer(tables, old.id, record, old.stored);
    this.chains.add(frozen);
    tree.info = { ...tree.info, layer: next.id };
    stack.lowers = [frozen, ...stack.lowers];
    stack.upper = next;
    retire(old);
    if (record.unsealedBlobs.length > 0) this.sealer.add(old.id, record.unsealedBlobs);
    this.lookAtChain(tree);
    if (stack.lowers.length > this.chainLayersMax * CHAIN_OVERRUN) this.flattener.finish();
  }

  /** A snapshot of a fork as it is now, or of another snapshot. EINVAL (name), EEXIST, ENOENT, EBUSY. */
  snapshot(source: string, name: string): TreeInfo {
    checkTreeName(name, 'snapshot');
    const info = this.info(source, 'snapshot');
    this.rows.requireFree(name, 'snapshot');
    const insert = (): void => {
      this.rows.requireFree(name, 'snapshot');
      this.rows.insertSnapshot(name, frozenTopOf(this.tables, info, 'snapshot'), info.root, source);
    };
    if (info.kind === 'snapshot') {
      this.tables.transaction(insert);
      return this.info(name);
    }
    const open = this.trees.get(source);
    const tree = open ?? this.openTree(source);
    try {
      this.freeze(tree, insert);
    } finally {
      if (open === undefined) tree.close();
    }
    return this.info(name);
  }

  /**
   * Removes a fork or snapshot by name. Trees that stand on it stay whole: its layers live until the last of them is
   * gone, and `gc` gives the space back. ENOENT; EBUSY while it is open for writing, here or elsewhere.
   */
  drop(name: string): void {
    const info = this.info(name, 'drop');
    if (info.kind === 'snapshot') {
      this.tables.transaction(() => void this.tables.trees.remove(name));
      return;
    }
    if (this.trees.has(name)) {
      throw new FsError('EBUSY', {
        syscall: 'drop',
        path: name,
        note: 'it is open in this process: close it first',
      });
    }
    this.uppers.drop(info, this.rows.layer(info.layer));
  }

  /**
   * A builder for a frozen layer in bulk: what import fills. `over` is the tree that the layer changes, which stays as
   * it is. EINVAL, EEXIST, ENOENT (of `over`), EBUSY (it is a fork that another process owns).
   */
  buildLayer(name: string, source: string, over?: string): LayerBuilder {
    this.requireOpen('import');
    checkTreeName(name, 'import');
    this.rows.requireFree(name, 'import');
    const below = over === undefined ? undefined : this.frozenInfo(over, 'import');
    const base = below && this.storedTree({ ...below, layer: frozenTopOf(this.tables, below, 'import') });
    requireStored(base);
    return new LayerBuilder(this.tables, this.blobs, this.system, {
      name,
      source,
      base,
      lockPath: (layer) => this.layout.journalPath(layer),
    });
  }

  // Background and end.

  private markAll(): void {
    for (const tree of this.trees.values()) void tree.markInBackground();
    this.followOthers();
  }

  /** What dedupe did, and gc, which waits for this one's lease to move up. Where that fails it waits longer. */
  private followOthers(): void {
    try {
      this.followExtents();
      this.settleLease();
    } catch (error) {
      if (!(isFsError(error) || error instanceof StoreError)) throw error;
    }
  }

  /** Closes every tree, stores everything, and gives the lease back. May be called twice. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    clearInterval(this.timer);
    this.sealer.stop();
    this.flattener.stop();
    const failures: unknown[] = [];
    for (const tree of this.allOpen) {
      try {
        tree.close();
      } catch (error) {
        failures.push(error);
      }
    }
    this.isOpen = false;
    await this.blobs.fetches.settle();
    this.chains.close();
    this.blobs.close();
    this.lease.close();
    await this.tables.close();
    // The first tells what is wrong; every tree is closed, and what it acknowledged is in its journal.
    if (failures.length > 0) throw failures[0];
  }
}
