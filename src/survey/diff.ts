/**
 * The differences of two trees. Trees that stand on a common layer are compared through that layer, in a time that
 * grows with the changes; other trees are compared name by name. Content is read only where two files differ in their
 * extents.
 */
import { DT_DIR } from '../base/index.ts';
import {
  commonLayer,
  type SettledElsewhere,
  type StoredTree,
  type StoreEngine,
  settleTree,
  type TreeState,
} from '../store/index.ts';
import type { Change } from './change.ts';
import { LineageComparison } from './diff-lineage.ts';
import { compareByName } from './diff-walk.ts';

/**
 * The changes from tree `a` to tree `b`, by path in byte order; `added` means in `b` only. An inode with another name
 * is renamed. A file in a renamed directory is listed only if it changed itself. Times alone are no change of a
 * directory, because they follow from the changes in it. ENOENT; EBUSY when another process owns one of the trees and
 * that tree is not in `elsewhere`.
 */
export function diffTrees(
  engine: StoreEngine,
  a: TreeState,
  b: TreeState,
  elsewhere: SettledElsewhere = new Set(),
): Change[] {
  const before = settleTree(engine, a, elsewhere);
  const after = settleTree(engine, b, elsewhere);
  return diffStored(engine, before, after);
}

function diffStored({ blobs }: StoreEngine, before: StoredTree, after: StoredTree): Change[] {
  const common = commonLayer(before, after);
  return common === undefined
    ? compareByName(blobs, before, after)
    : new LineageComparison(blobs, before, after, common).all();
}

/**
 * Every path that differs. The content of a renamed directory is in `gone` under the old name, in `put` under the new
 * name.
 */
export interface ChangedPaths {
  /** Paths that no longer exist, or have another type, with the DT_* value that they had before. */
  readonly gone: ReadonlyMap<string, number>;
  /** Paths that are new, modified, or have another type, with the DT_* value that they have now. */
  readonly put: ReadonlyMap<string, number>;
  readonly changes: readonly Change[];
}

export function changedPaths(engine: StoreEngine, before: StoredTree, after: StoredTree): ChangedPaths {
  const gone = new Map<string, number>();
  const put = new Map<string, number>();
  const changes = diffStored(engine, before, after);
  for (const { kind, path, from, type } of changes) {
    if (kind === 'removed') gone.set(path, type);
    else if (kind === 'renamed') {
      if (from !== undefined) addAll(before, from, type, gone);
      addAll(after, path, type, put);
    } else put.set(path, type);
  }
  for (const [path, type] of put) if (gone.get(path) === type) gone.delete(path);
  return { gone, put, changes };
}

function addAll(
  tree: StoredTree,
  path: string,
  type: number,
  paths: Map<string, number>,
  ino = tree.inoAt(path),
): void {
  paths.set(path, type);
  if (type !== DT_DIR || ino === undefined) return;
  for (const [name, child] of tree.list(ino)) addAll(tree, `${path}/${name}`, child.kind, paths, child.ino);
}
