/**
 * Moving this process's lease up: what was dropped before it can then be given back although trees are open here.
 *
 * The rule that makes it safe: at the epoch of the lease, every block that an open tree of the process relies on is
 * named by a row of a layer that a tree of the store stands on, and is not dropped. So the journals are brought into
 * the tables first, blocks that they named are taken back, and a tree whose name was dropped while it is open here
 * keeps the lease where it is.
 */
import { takeBackLayer } from '../layer/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { Lease } from './leases.ts';
import type { Tree } from './tree.ts';

/**
 * Stores what the open trees hold and moves the lease up. False when a dropped tree is still open here. `followChains`
 * puts the open trees on the layers that the tables have under them now.
 */
export function settleLease(
  tables: MetaTables,
  lease: Lease,
  open: readonly Tree[],
  followChains: () => void,
): boolean {
  tables.renew();
  if (open.length === 0 || tables.counters.get('epoch') === lease.heldEpoch) return true;
  followChains();
  // Looked at before the checkpoints too, which would be made in vain every few seconds.
  if (!areStored(tables, open)) return false;
  for (const tree of open) tree.checkpoint();
  followChains();
  const epoch = tables.counters.get('epoch');
  if (!areStored(tables, open)) return false;
  for (const tree of open) if (!tree.isReadOnly) takeBackLayer(tables, tree.info.layer);
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
