/**
 * The trees that are open in this process, and the lease that keeps for them what gc would give back.
 *
 * The tables change under open trees: other processes flatten chains of layers, and dedupe gives files of frozen layers
 * other blocks. Open trees follow both. When they have, the lease moves up, and what was dropped before it can be given
 * back although trees are open here.
 *
 * The rule that makes this safe: at the epoch of the lease, every block that an open tree relies on is named by a row
 * of a layer that a tree of the store stands on, and is not dropped. So journals are stored in the tables first, files
 * are read again where dedupe changed them, and dropped blocks that the journals named are undropped. The lease stays
 * where it is while a tree is open that was dropped, and while somebody goes on reading the old blocks of a file.
 */
import { isFsError, StoreError } from '../base/index.ts';
import { undropLayer } from '../layer/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { ChainCache } from './chain-cache.ts';
import type { Lease } from './leases.ts';
import type { Tree } from './tree.ts';

export class OpenTrees {
  private readonly tables: MetaTables;
  private readonly chains: ChainCache;
  private readonly lease: Lease;
  /** All open trees, each with the token by which it holds the lease. */
  private readonly tokens = new Map<Tree, object>();
  /** Those that are forks, by name. */
  private readonly named = new Map<string, Tree>();
  /** The counter of dedupe's changes when all open trees had followed. */
  private remaps: number;

  constructor(tables: MetaTables, chains: ChainCache, lease: Lease) {
    this.tables = tables;
    this.chains = chains;
    this.lease = lease;
    this.remaps = tables.counters.get('remaps');
  }

  /** The open fork of this name. */
  fork(name: string): Tree | undefined {
    return this.named.get(name);
  }

  get forks(): readonly Tree[] {
    return [...this.named.values()];
  }

  /** Snapshots too. */
  private get all(): readonly Tree[] {
    return [...this.tokens.keys()];
  }

  /** Opens a tree by `make`, which passes on what the tree calls when it closes. The lease is held before that. */
  open(make: (onClosed: (tree: Tree) => void) => Tree): Tree {
    const token = {};
    this.tables.renew();
    this.lease.hold(token, this.tables.counters.get('epoch'));
    try {
      const tree = make((closed) => this.forget(closed));
      this.tokens.set(tree, token);
      if (!tree.isReadOnly) this.named.set(tree.info.name, tree);
      return tree;
    } catch (error) {
      this.lease.release(token);
      throw error;
    }
  }

  private forget(tree: Tree): void {
    if (this.named.get(tree.info.name) === tree) this.named.delete(tree.info.name);
    this.lease.release(this.tokens.get(tree));
    this.tokens.delete(tree);
    if (tree.stack.chain.derived !== undefined) this.chains.forgetUnused(this.all);
  }

  /** Open trees stand on the layers that the tables have under them now. */
  followChains(): void {
    this.chains.follow(this.all);
  }

  /**
   * Open trees read the blocks that the tables name now. False when some file has to go on with old blocks; then the
   * next call tries again.
   */
  followExtents(): boolean {
    this.tables.renew();
    // Read before the chains and the rows are: what changes meanwhile is followed the next time.
    const remaps = this.tables.counters.get('remaps');
    if (remaps === this.remaps) return true;
    // No row changes any more of layers that flattening has replaced.
    this.followChains();
    let isDone = true;
    for (const { stack } of this.all) if (!stack.followExtents()) isDone = false;
    if (isDone) this.remaps = remaps;
    return isDone;
  }

  /**
   * Stores what the open trees hold and moves the lease up, so that space dropped before can be given back. False when
   * something of them keeps the lease where it is.
   */
  settleLease(): boolean {
    const { tables, lease, all } = this;
    tables.renew();
    if (all.length === 0 || tables.counters.get('epoch') === lease.heldEpoch) return true;
    this.followChains();
    // Asked before the checkpoints too, which would be made in vain every few seconds.
    if (!this.areStored()) return false;
    for (const tree of all) tree.checkpoint();
    this.followChains();
    const epoch = tables.counters.get('epoch');
    // After the epoch was read: what a file names then is not dropped.
    if (!this.areStored() || !this.followExtents()) return false;
    if (all.some(({ stack }) => stack.isHeldByKernel())) return false;
    for (const tree of all) if (!tree.isReadOnly) undropLayer(tables, tree.info.layer);
    lease.advance(epoch);
    return true;
  }

  /** Whether trees of the store stand on what is open. */
  private areStored(): boolean {
    return this.all.every(({ info }) => {
      const stored = this.tables.trees.get(info.name);
      return stored?.id === info.id && stored.layer === info.layer;
    });
  }

  /**
   * What is done every few seconds: commit marks, and following what other processes did; their gc waits for the lease
   * of this one to move up. After a failure here, it waits longer.
   */
  keepUp(): void {
    for (const tree of this.forks) void tree.markInBackground();
    try {
      this.followExtents();
      this.settleLease();
    } catch (error) {
      if (!(isFsError(error) || error instanceof StoreError)) throw error;
    }
  }

  /** Closes all of them. Returns why some could not store what they held. */
  closeAll(): unknown[] {
    const failures: unknown[] = [];
    for (const tree of this.all) {
      try {
        tree.close();
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }
}
