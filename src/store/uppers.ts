/** The writable layers of a store: taken over, begun, frozen. Who has the lock of a layer's journal owns the layer. */
import { assert, FsError, isFsError, type LayerId, whileBusyBlocking } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { checkpoint, UpperLayer, type UpperParts } from '../layer/index.ts';
import type { LayerRecord, MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import type { StoreLayout } from './layout.ts';
import type { Tree, TreeInfo } from './tree.ts';
import type { TreeRows } from './tree-rows.ts';

export interface UppersParts {
  readonly system: System;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly layout: StoreLayout;
}

export class Uppers {
  private readonly parts: UppersParts;
  private readonly rows: TreeRows;

  constructor(parts: UppersParts, rows: TreeRows) {
    this.parts = parts;
    this.rows = rows;
  }

  private partsOf(layer: LayerId): UpperParts {
    const { system, tables, blobs, layout } = this.parts;
    const journalPath = layout.journalPath(layer);
    return { system, tables, blobs, journalPath, journalDirectory: layout.journalsDirectory };
  }

  /**
   * Takes a fork's writable layer over. EBUSY, with the fork's name and the owner's process id, when it stays taken:
   * gc in another process takes a fork for a moment when it finds something in its journal.
   */
  take(info: TreeInfo, record: LayerRecord, operation: string, isPatient = true): UpperLayer {
    const take = (): UpperLayer => new UpperLayer(this.partsOf(info.layer), info.layer, record);
    try {
      return isPatient ? whileBusyBlocking(take) : take();
    } catch (error) {
      throw isFsError(error) ? error.in({ syscall: operation, path: info.name }) : error;
    }
  }

  /**
   * Freezes the upper layer of an open fork in one transaction, to which `inTransaction` belongs, and returns the fresh
   * one that goes over it. That is locked before anyone can see it: else another process, gc looking for dead owners
   * say, could take it over between the transaction and the lock. Where anything fails the tree is as it was.
   */
  freeze(tree: Tree, inTransaction: (() => void) | undefined): UpperLayer {
    let next: UpperLayer | undefined;
    try {
      checkpoint(tree.stack, (upper) => {
        next = this.begin(this.rows.freeze(tree.info, upper));
        inTransaction?.();
      });
    } catch (error) {
      if (next !== undefined) retire(next);
      throw error;
    }
    assert(next !== undefined, 'a checkpoint with a last step makes it');
    return next;
  }

  /** Removes a fork with its layer. EBUSY while anybody has it open. */
  drop(info: TreeInfo, record: LayerRecord): void {
    const { name } = info;
    const { tables } = this.parts;
    // Taking the layer over proves that nobody else has it; what its journal holds goes with it.
    const upper = this.take(info, record, 'drop');
    try {
      tables.transaction(() => {
        // Before the lock was ours another process may have dropped it and given the name to another fork.
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

  private begin(layer: LayerId): UpperLayer {
    const upper = new UpperLayer(this.partsOf(layer), layer, this.rows.layer(layer));
    try {
      upper.journal.begin(upper.record.generation, 1);
      return upper;
    } catch (error) {
      upper.abandon();
      throw error;
    }
  }
}

/** Removes the journal of a layer that is frozen now. One that cannot be removed is left to gc: the freeze happened. */
export function retire(upper: UpperLayer): void {
  try {
    upper.retire();
  } catch (error) {
    if (!isFsError(error)) throw error;
    upper.abandon();
  }
}
