/**
 * Opens, freezes and drops the stacks of layers of which trees consist. A process owns a writable layer while it has
 * the lock on its journal.
 */
import { assert, FsError, isFsError, type LayerId, whileBusyBlocking } from '../base/index.ts';
import {
  checkpoint,
  LayerStack,
  recover,
  recoverCopy,
  type StackKeeper,
  type StackParts,
  type TreeCache,
  UpperLayer,
  type UpperParts,
  undropLayer,
} from '../layer/index.ts';
import { FrozenLayer } from '../lower/index.ts';
import { processMapBudget } from '../mapping/index.ts';
import type { LayerRecord } from '../meta/index.ts';
import type { ChainCache } from './chain-cache.ts';
import type { PrivateCopy } from './private-copy.ts';
import type { Sealer } from './sealer.ts';
import type { StoreParts } from './store-parts.ts';
import type { Tree, TreeInfo } from './tree.ts';

export interface StacksParts extends StoreParts {
  readonly chains: ChainCache;
  readonly sealer: Sealer;
}

export class Stacks {
  private readonly parts: StacksParts;
  private readonly cache: TreeCache;

  constructor(parts: StacksParts, cache: TreeCache) {
    this.parts = parts;
    this.cache = cache;
  }

  private get stackParts(): StackParts {
    const { tables, blobs, system } = this.parts;
    const budget = processMapBudget(() => system.mapCountMax());
    return { tables, blobs, system, budget, cache: this.cache };
  }

  private upperParts(layer: LayerId): UpperParts {
    const { system, tables, blobs, layout } = this.parts;
    const journalPath = layout.journalPath(layer);
    return { system, tables, blobs, journalPath, journalDirectory: layout.journalsDirectory };
  }

  /**
   * Returns the stack of a tree. Takes over the tree's writable layer and recovers it; if the layer is frozen, the
   * stack can only be read. EBUSY: see `takeUpper`; EAGAIN when the last owner froze or dropped the layer before this
   * process had the lock on its journal.
   */
  open(info: TreeInfo, isPatient: boolean, keeper: StackKeeper): LayerStack {
    const { stackParts: parts } = this;
    const { tables, rows, chains } = this.parts;
    const record = rows.layer(info.layer);
    const { privateCopy } = this.parts;
    if (privateCopy !== undefined) this.settleCopy(info, record, keeper, privateCopy);
    if (record.state === 'frozen' || privateCopy !== undefined)
      return new LayerStack(parts, keeper, info.root, undefined, chains.opened(info.layer));
    const upper = this.takeUpper(info, record, 'open', isPatient);
    try {
      tables.renew();
      if (tables.trees.get(info.name)?.layer !== info.layer) throw new FsError('EAGAIN', { path: info.name });
      const stack = new LayerStack(parts, keeper, info.root, upper, chains.opened(upper.record.parent));
      recover(stack);
      undropLayer(tables, info.layer);
      return stack;
    } catch (error) {
      upper.abandon();
      throw error;
    }
  }

  /**
   * In a private copy: stores the journal of a fork in the tables. EBUSY if another process keeps changing the fork.
   */
  private settleCopy(info: TreeInfo, record: LayerRecord, keeper: StackKeeper, copy: PrivateCopy): void {
    if (record.state === 'frozen' || copy.settled.has(info.layer)) return;
    if (copy.changing.has(info.layer)) {
      const note = 'another process changes it all the time: read it there, or try again';
      throw new FsError('EBUSY', { syscall: 'open', path: info.name, note });
    }
    const { tables, chains } = this.parts;
    const { readOnly } = tables;
    tables.readOnly = undefined;
    const upper = this.takeUpper(info, record, 'open', false);
    try {
      const lowers = chains.opened(upper.record.parent);
      const stack = new LayerStack(this.stackParts, keeper, info.root, upper, lowers);
      recoverCopy(stack);
      stack.leaveCache();
      copy.settled.add(info.layer);
    } finally {
      tables.readOnly = readOnly;
      upper.abandon();
    }
  }

  /**
   * Takes over a fork's writable layer. EBUSY, with the fork's name and the owner's process id, when another owner
   * keeps it. With `isPatient`, waits a little for the owner to go, since gc in another process takes a fork for a
   * moment when the fork's journal has records.
   */
  private takeUpper(
    { name, layer }: TreeInfo,
    record: LayerRecord,
    operation: string,
    isPatient: boolean,
  ): UpperLayer {
    const take = (): UpperLayer => new UpperLayer(this.upperParts(layer), layer, record);
    try {
      return isPatient ? whileBusyBlocking(take) : take();
    } catch (error) {
      throw isFsError(error) ? error.in({ syscall: operation, path: name }) : error;
    }
  }

  /**
   * Freezes the upper layer of an open fork and puts a new one over it. `inTransaction` runs in the same transaction.
   * Returns true if it froze the layer; false when the fork has nothing to freeze: then only `inTransaction` runs.
   */
  freeze(tree: Tree, inTransaction?: () => void): boolean {
    const { tables, rows, chains, sealer } = this.parts;
    const { stack } = tree;
    const old = stack.writable();
    if (old.isPristine && stack.dirty.size === 0 && old.record.parent !== 0) {
      if (inTransaction !== undefined) tables.transaction(inTransaction);
      return false;
    }
    const next = this.store(tree, inTransaction);
    const record = rows.layer(old.id);
    const frozen = new FrozenLayer(tables, old.id, record, old.stored);
    chains.add(frozen);
    tree.info = { ...tree.info, layer: next.id };
    stack.lowers = [frozen, ...stack.lowers];
    stack.upper = next;
    retire(old);
    if (record.unsealedBlobs.length > 0) sealer.add(old.id, record.unsealedBlobs);
    return true;
  }

  /**
   * Stores a fork and freezes its layer in the last transaction. Returns the new layer over it, which is locked before
   * anyone can see it. Otherwise another process, say gc looking for dead owners, could take over the new layer first.
   * When anything fails, the tree is as it was.
   */
  private store(tree: Tree, inTransaction: (() => void) | undefined): UpperLayer {
    let next: UpperLayer | undefined;
    try {
      checkpoint(tree.stack, (upper) => {
        next = this.begin(this.parts.rows.freeze(tree.info, upper));
        inTransaction?.();
      });
    } catch (error) {
      if (next !== undefined) retire(next);
      throw error;
    }
    assert(next !== undefined, 'a checkpoint with a last step makes it');
    return next;
  }

  private begin(layer: LayerId): UpperLayer {
    const upper = new UpperLayer(this.upperParts(layer), layer, this.parts.rows.layer(layer));
    try {
      upper.journal.begin(upper.record.generation, 1);
      return upper;
    } catch (error) {
      upper.abandon();
      throw error;
    }
  }

  /** Removes a fork with its layer. EBUSY while anybody has the fork open. */
  drop(info: TreeInfo): void {
    const { name } = info;
    const { tables, rows } = this.parts;
    // Taking over the layer proves that it has no other owner. `retire` removes its journal.
    const upper = this.takeUpper(info, rows.layer(info.layer), 'drop', true);
    try {
      tables.transaction(() => {
        // Before this process had the lock, another one may have dropped the fork and given its name to a new fork.
        if (tables.trees.get(name)?.layer !== info.layer) {
          throw new FsError('EBUSY', { syscall: 'drop', path: name, note: 'another process is changing it' });
        }
        tables.trees.remove(name);
      });
    } catch (error) {
      upper.abandon();
      throw error;
    }
    upper.retire();
  }
}

/** Removes the journal of a layer that no tree writes to any more. If that fails, leaves the journal to gc. */
export function retire(upper: UpperLayer): void {
  try {
    upper.retire();
  } catch (error) {
    if (!isFsError(error)) throw error;
    upper.abandon();
  }
}
