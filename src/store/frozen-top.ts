/** The frozen layer that shows what a tree is: what forks, snapshots and rollbacks of it stand on. */
import { assert, FsError, type LayerId } from '../base/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { TreeInfo } from './tree.ts';
import type { TreeRows } from './tree-rows.ts';

/**
 * Looked up in the transaction that puts something on it: until then another process may have dropped the tree, and gc
 * what it stood on, or flattened it. A fork must have been frozen before. ENOENT.
 */
export function frozenTopOf(
  { tables, rows }: { readonly tables: MetaTables; readonly rows: TreeRows },
  source: string,
  info: TreeInfo,
  operation: string,
): LayerId {
  const now = tables.trees.get(source);
  if (now?.id !== info.id) {
    throw new FsError('ENOENT', { syscall: operation, path: source, note: 'it was dropped meanwhile' });
  }
  if (now.kind === 'snapshot') return now.layer;
  // A fork that was just frozen has an empty upper layer over what it shows.
  const { parent } = rows.layer(now.layer);
  assert(parent !== 0, 'a fork that was frozen stands on a layer');
  return parent;
}
