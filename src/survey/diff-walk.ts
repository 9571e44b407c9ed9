/**
 * Compares two trees that have no layer in common: walks both completely, name by name. Their inode numbers are
 * unrelated, so nothing counts as renamed.
 */
import { DT_DIR, FsError, type Ino, type Name } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import type { DentryRecord } from '../meta/index.ts';
import type { StoredTree } from '../store/index.ts';
import { type Change, change } from './change.ts';
import { InodeComparison } from './inode-comparison.ts';

export function compareByName(blobs: BlobSpace, before: StoredTree, after: StoredTree): Change[] {
  const inodes = new InodeComparison(blobs, before, after);
  const changes: Change[] = [];
  const seen = new Map<StoredTree, Set<Ino>>([
    [before, new Set()],
    [after, new Set()],
  ]);

  /**
   * Notes that the walk enters a directory. EIO if it entered the directory before: then the tree is damaged, and the
   * walk might never end.
   */
  const enter = (tree: StoredTree, directory: Ino): void => {
    if (seen.get(tree)!.has(directory)) {
      const note = `directory ${directory} is damaged: it has two names; run fsck`;
      throw new FsError('EIO', { path: tree.info.name, note });
    }
    seen.get(tree)!.add(directory);
  };

  /** Compares two inodes of one kind at a path; for directories, also everything under them. */
  const compare = (path: string, old: Ino, now: Ino, kind: number): void => {
    const parts = inodes.parts(old, now, kind);
    if (parts.length > 0) {
      const sides = { before: before.record(old), after: after.record(now) };
      changes.push(change('modified', path, kind, sides, { parts }));
    }
    if (kind !== DT_DIR) return;
    enter(before, old);
    enter(after, now);
    compareNames(path === '/' ? '' : path, before.list(old), after.list(now));
  };

  const compareNames = (
    path: string,
    namesBefore: ReadonlyMap<Name, DentryRecord>,
    namesAfter: ReadonlyMap<Name, DentryRecord>,
  ): void => {
    const names = new Set([...namesBefore.keys(), ...namesAfter.keys()]);
    for (const name of [...names].sort((a, b) => (a < b ? -1 : 1))) {
      const old = namesBefore.get(name);
      const now = namesAfter.get(name);
      const child = `${path}/${name}`;
      if (old !== undefined && now?.kind === old.kind) {
        compare(child, old.ino, now.ino, old.kind);
        continue;
      }
      if (old !== undefined) addAll('removed', child, old, before);
      if (now !== undefined) addAll('added', child, now, after);
    }
  };

  const addAll = (
    kind: 'added' | 'removed',
    path: string,
    { ino, kind: type }: DentryRecord,
    tree: StoredTree,
  ): void => {
    const record = tree.record(ino);
    changes.push(change(kind, path, type, kind === 'added' ? { after: record } : { before: record }));
    if (type !== DT_DIR) return;
    enter(tree, ino);
    for (const [name, child] of tree.list(ino)) addAll(kind, `${path}/${name}`, child, tree);
  };

  compare('/', before.info.root, after.info.root, DT_DIR);
  return changes;
}
