/**
 * What differs between two trees. Trees that stand on a common layer are compared through it, in a time that grows with
 * the changes; others name by name. Content is read only where two files differ in their extents.
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
import { WholeComparison } from './diff-walk.ts';

/**
 * How tree `b` differs from tree `a`, by path in byte order: added means in `b` only. What has the same inode under
 * another name is renamed, and what is in a renamed directory is told only where it changed itself. Changed times alone
 * of a directory are not a change: they follow from what changed in it. ENOENT; EBUSY when another process owns one of
 * them and it is not in `elsewhere`.
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
    ? new WholeComparison(blobs, before, after).all()
    : new LineageComparison(blobs, before, after, common).all();
}

/** Every path that differs: what a renamed directory holds is gone under its old name and put under its new one. */
export interface ChangedPaths {
  /** Paths that are no more, or of another type, with the DT_* value of what was there. */
  readonly gone: ReadonlyMap<string, number>;
  /** Paths of what is new, of another type or modified, with the DT_* value of what is there. */
  readonly put: ReadonlyMap<string, number>;
  readonly changes: readonly Change[];
}

export function changedPaths(engine: StoreEngine, before: StoredTree, after: StoredTree): ChangedPaths {
  const gone = new Map<string, number>();
  const put = new Map<string, number>();
  const changes = diffStored(engine, before, after);
  for (const { kind, path, from, type } of changes) {
    if (kind === 'removed') gone.set(path, type);
    if (kind === 'renamed' && from !== undefined) addAll(before, from, type, gone);
    if (kind === 'renamed') addAll(after, path, type, put);
    if (kind === 'added' || kind === 'modified') put.set(path, type);
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
