/** The frozen layer that shows what a tree is: what forks, snapshots, unions and rollbacks of it stand on. */
import { assert, FsError, type LayerId } from '../base/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { TreeInfo } from './tree.ts';

/**
 * Looked up in the transaction that puts something on it: until then another process may have dropped the tree, and gc
 * what it stood on, or flattened it. A fork must have been frozen before. ENOENT.
 */
export function frozenTopOf(tables: MetaTables, { name, id }: TreeInfo, operation: string): LayerId {
  const now = tables.trees.get(name);
  if (now?.id !== id) {
    throw new FsError('ENOENT', { syscall: operation, path: name, note: 'it was dropped meanwhile' });
  }
  const layer = now.kind === 'snapshot' ? now.layer : tables.layers.get(now.layer)?.parent;
  // A fork that was just frozen has an empty upper layer over what it shows.
  assert(layer !== undefined && layer !== 0, 'a fork that was frozen stands on a layer');
  return layer;
}
