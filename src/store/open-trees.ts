/**
 * The trees that are open in this process, and the lease that keeps gc from freeing what they rely on.
 *
 * The tables change under open trees: other processes flatten chains of layers, and dedupe gives files of frozen layers
 * other blocks. Open trees follow both. Then the lease moves up, and gc can free space that was dropped before,
 * although trees are open here.
 *
 * One rule makes this safe. Every block that an open tree relies on must, at the epoch of the lease, be named by a row
 * of a layer on which a tree of the store stands, and must not be dropped. So `settleLease` first stores journals in
 * the tables, reads files again that dedupe changed, and undrops dropped blocks that the journals named. The lease does
 * not move while a dropped tree is open, or while old blocks of a file are still being read.
 */
import { isFsError, StoreError } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { undropLayer } from '../layer/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { ChainCache } from './chain-cache.ts';
import type { Lease } from './leases.ts';
import type { StoreParts } from './store-parts.ts';
import type { Tree } from './tree.ts';

export class OpenTrees {
  private readonly tables: MetaTables;
  private readonly chains: ChainCache;
  private readonly blobs: BlobSpace;
  private readonly lease: Lease;
  /** All open trees, including snapshots, each with the token by which it holds the lease. */
  private readonly tokens = new Map<Tree, object>();
  /** The open forks, by name. */
  private readonly named = new Map<string, Tree>();
  /** The value of the counter `remaps` up to which all open trees have followed the changes of dedupe. */
  private remaps: number;
  /** The value of the counter `reaps` up to which this process has let go of what gc removed. */
  private reaps: number;

  constructor({ tables, blobs }: StoreParts, chains: ChainCache, lease: Lease) {
    this.tables = tables;
    this.blobs = blobs;
    this.chains = chains;
    this.lease = lease;
    this.remaps = tables.counters.get('remaps');
    this.reaps = tables.counters.get('reaps');
  }

  fork(name: string): Tree | undefined {
    return this.named.get(name);
  }

  get forks(): readonly Tree[] {
    return [...this.named.values()];
  }

  private get all(): readonly Tree[] {
    return [...this.tokens.keys()];
  }

  /** Takes the lease and opens a tree by `make`. The tree must call `onClosed` when it closes. */
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

  /** Puts open trees on the layers that the tables have under them now. */
  followChains(): void {
    this.chains.follow(this.all);
  }

  /**
   * Makes open trees read the blocks that the tables name now. False when some file must keep old blocks; then the next
   * call tries again.
   */
  followExtents(): boolean {
    this.tables.renew();
    // Read the counter before the chains and rows, so that the next call follows what changes meanwhile.
    const remaps = this.tables.counters.get('remaps');
    if (remaps === this.remaps) return true;
    // First follow flattening, because dedupe no longer changes the rows of layers that flattening replaced.
    this.followChains();
    let isDone = true;
    for (const { stack } of this.all) if (!stack.followExtents()) isDone = false;
    if (isDone) this.remaps = remaps;
    return isDone;
  }

  /**
   * Stores the journals of open trees and moves the lease up, so that gc can free space that was dropped before. False
   * when an open tree keeps the lease where it is.
   */
  settleLease(): boolean {
    const { tables, lease, all } = this;
    tables.renew();
    if (all.length === 0 || tables.counters.get('epoch') === lease.heldEpoch) return true;
    this.followChains();
    // Already checked here, to save useless checkpoints every few seconds.
    if (!this.areStored()) return false;
    for (const tree of all) tree.checkpoint();
    this.followChains();
    const epoch = tables.counters.get('epoch');
    // Follow only after the epoch is read: the blocks that files name from then on were not dropped before that epoch.
    if (!this.areStored() || !this.followExtents()) return false;
    if (all.some(({ stack }) => stack.isHeldByKernel())) return false;
    for (const tree of all) if (!tree.isReadOnly) undropLayer(tables, tree.info.layer);
    lease.advance(epoch);
    return true;
  }

  /** True when the store still has all open trees, on the same layers. */
  private areStored(): boolean {
    return this.all.every(({ info }) => {
      const stored = this.tables.trees.get(info.name);
      return stored?.id === info.id && stored.layer === info.layer;
    });
  }

  /** Lets go of blobs and layers that gc has removed. Their space is free once no process has them open any more. */
  letGoOfRemoved(): void {
    const { tables } = this;
    tables.renew();
    const reaps = tables.counters.get('reaps');
    if (reaps === this.reaps) return;
    this.blobs.releaseRemoved((blob) => tables.blobs.get(blob) !== undefined);
    this.chains.forgetRemoved();
    this.reaps = reaps;
  }

  /**
   * Runs every few seconds: writes commit marks and follows what other processes did. Ignores failures: gc in other
   * processes then only waits longer for the lease of this process to move up.
   */
  keepUp(): void {
    for (const tree of this.forks) void tree.markInBackground();
    try {
      this.followExtents();
      this.settleLease();
      this.letGoOfRemoved();
    } catch (error) {
      if (!(isFsError(error) || error instanceof StoreError)) throw error;
    }
  }

  /** Closes all trees. Returns the errors of trees that could not store their changes. */
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
