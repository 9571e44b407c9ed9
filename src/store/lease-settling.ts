/**
 * Moving this process's lease up: what was dropped before it can then be given back although trees are open here.
 *
 * The rule that makes it safe: at the epoch of the lease, every block that an open tree of the process relies on is
 * named by a row of a layer that a tree of the store stands on, and is not dropped. So the journals are brought into
 * the tables first, blocks that they named are taken back, files of frozen layers are read anew where dedupe gave them
 * other blocks, and a tree whose name was dropped while it is open here keeps the lease where it is. So does a file
 * whose old blocks somebody goes on reading.
 */
import { isHeldByKernel, undropLayer } from '../layer/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { Lease } from './leases.ts';
import type { Tree } from './tree.ts';

/** What brings the open trees up to what the tables say now. */
export interface Following {
  /** They stand on the layers that are under them. */
  followChains(): void;
  /** They read the blocks that their files have; false where some cannot. */
  followExtents(): boolean;
}

/** Stores what the open trees hold and moves the lease up. False when something of them must stay where it is. */
export function settleLease(
  tables: MetaTables,
  lease: Lease,
  open: readonly Tree[],
  following: Following,
): boolean {
  tables.renew();
  if (open.length === 0 || tables.counters.get('epoch') === lease.heldEpoch) return true;
  following.followChains();
  // Looked at before the checkpoints too, which would be made in vain every few seconds.
  if (!areStored(tables, open)) return false;
  for (const tree of open) tree.checkpoint();
  following.followChains();
  const epoch = tables.counters.get('epoch');
  // After the epoch was read: what a file names then is not dropped.
  if (!areStored(tables, open) || !following.followExtents()) return false;
  if (open.some(({ stack }) => isHeldByKernel(stack))) return false;
  for (const tree of open) if (!tree.isReadOnly) undropLayer(tables, tree.info.layer);
  lease.advance(epoch);
  return true;
}

/** Whether trees of the store stand on what is open. */
function areStored(tables: MetaTables, open: readonly Tree[]): boolean {
  return open.every(({ info }) => {
    const stored = tables.trees.get(info.name);
    return stored?.id === info.id && stored.layer === info.layer;
  });
}
