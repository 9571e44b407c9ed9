/**
 * Compares two trees that stand on a common layer. An inode number stands for the same inode in both. An inode, or a
 * directory's list of names, is the same in both if no layer over the common one mentions it. So only the inodes and
 * names in those layers are compared. Time grows with the changes (and with the directories that they lie in), not with
 * the trees.
 */
import { type Ino, isDirectoryMode, kindOfMode, type LayerId } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import type { DentryRecord, InodeRecord } from '../meta/index.ts';
import type { StoredTree } from '../store/index.ts';
import { type Change, change, inWalkOrder } from './change.ts';
import { InodeComparison } from './inode-comparison.ts';
import { type NamePlace, TreePaths } from './tree-paths.ts';

/** A name that one tree lacks, or has for another inode. */
interface NameChange extends NamePlace {
  readonly ino: Ino;
  readonly kind: number;
  readonly path: string;
}

export class LineageComparison {
  private readonly common: LayerId;
  private readonly before: StoredTree;
  private readonly after: StoredTree;
  private readonly pathsBefore: TreePaths;
  private readonly pathsAfter: TreePaths;
  private readonly inodes: InodeComparison;
  private readonly changes: Change[] = [];
  /** By inode: names that only `before` has for it, and names that only `after` has for it. */
  private readonly gone = new Map<Ino, NameChange[]>();
  private readonly come = new Map<Ino, NameChange[]>();

  constructor(blobs: BlobSpace, before: StoredTree, after: StoredTree, common: LayerId) {
    this.inodes = new InodeComparison(blobs, before, after);
    this.common = common;
    this.before = before;
    this.after = after;
    this.pathsBefore = new TreePaths(before);
    this.pathsAfter = new TreePaths(after);
  }

  all(): Change[] {
    const touched = new Set([...this.before.inosAbove(this.common), ...this.after.inosAbove(this.common)]);
    const changed = new Map<Ino, number>();
    for (const ino of touched) {
      const old = living(this.before, ino);
      const now = living(this.after, ino);
      const kind = (old ?? now)?.mode ?? 0;
      if (isDirectoryMode(kind)) this.names(ino, old !== undefined, now !== undefined);
      if (old !== undefined && now !== undefined) changed.set(ino, kindOfMode(now.mode));
    }
    const renamed = this.renames();
    this.replacements();
    this.modifications(changed, renamed);
    return inWalkOrder(this.changes);
  }

  /** Compares the names of a directory that is in one of the trees, or in both. */
  private names(directory: Ino, isBefore: boolean, isAfter: boolean): void {
    const { before, after, common } = this;
    if (isBefore && isAfter) {
      const names = new Set([
        ...before.namesAbove(common, directory),
        ...after.namesAbove(common, directory),
      ]);
      for (const name of names) {
        const old = before.entry(directory, name);
        const now = after.entry(directory, name);
        if (old?.ino === now?.ino) continue;
        if (old !== undefined) note(this.gone, this.pathsBefore, { directory, name }, old);
        if (now !== undefined) note(this.come, this.pathsAfter, { directory, name }, now);
      }
      return;
    }
    const [tree, paths, list] = isBefore
      ? [before, this.pathsBefore, this.gone]
      : [after, this.pathsAfter, this.come];
    for (const [name, dentry] of tree.list(directory)) note(list, paths, { directory, name }, dentry);
  }

  /** Reports as renamed the inodes that lost a name and got another. Returns the new paths. */
  private renames(): ReadonlySet<string> {
    const renamed = new Set<string>();
    for (const [ino, gone] of this.gone) {
      const come = this.come.get(ino);
      if (come === undefined) continue;
      gone.sort(byPath);
      come.sort(byPath);
      while (gone.length > 0 && come.length > 0) {
        const from = gone.shift()!;
        const to = come.shift()!;
        const sides = { before: this.before.record(ino), after: this.after.record(ino) };
        const parts = this.inodes.parts(ino, ino, to.kind);
        this.changes.push(change('renamed', to.path, to.kind, sides, { from: from.path, parts }));
        renamed.add(to.path);
      }
    }
    return renamed;
  }

  /**
   * Reports the names that `renames` left in `gone` and `come`. A file that took the place of a file of the same type
   * counts as modified.
   */
  private replacements(): void {
    const gone = new Map<string, NameChange>();
    for (const item of [...this.gone.values()].flat()) gone.set(item.path, item);
    for (const now of [...this.come.values()].flat()) {
      const after = this.after.record(now.ino);
      const old = gone.get(now.path);
      if (old?.kind !== now.kind) {
        this.changes.push(change('added', now.path, now.kind, { after }));
        continue;
      }
      gone.delete(now.path);
      const parts = this.inodes.parts(old.ino, now.ino, now.kind);
      if (parts.length === 0) continue;
      const sides = { before: this.before.record(old.ino), after };
      this.changes.push(change('modified', now.path, now.kind, sides, { parts }));
    }
    for (const old of gone.values()) {
      this.changes.push(change('removed', old.path, old.kind, { before: this.before.record(old.ino) }));
    }
  }

  /** Reports modified inodes that are in both trees, under each name that they have in both. */
  private modifications(changed: ReadonlyMap<Ino, number>, renamed: ReadonlySet<string>): void {
    const modified = new Map<Ino, ReturnType<InodeComparison['parts']>>();
    for (const [ino, kind] of changed) {
      const parts = this.inodes.parts(ino, ino, kind);
      if (parts.length > 0) modified.set(ino, parts);
    }
    const { root } = this.after.info;
    const places = this.pathsAfter.of(modified.keys());
    for (const [ino, parts] of modified) {
      const sides = { before: this.before.record(ino), after: this.after.record(ino) };
      const kind = changed.get(ino) ?? 0;
      if (ino === root) this.changes.push(change('modified', '/', kind, sides, { parts }));
      const come = new Set((this.come.get(ino) ?? []).map(({ path }) => path));
      for (const place of places.get(ino) ?? []) {
        const path = this.pathsAfter.path(place);
        if (renamed.has(path) || come.has(path)) continue;
        const from = this.pathsBefore.path(place);
        this.changes.push(change('modified', path, kind, sides, { from, parts }));
      }
    }
  }
}

function note(
  list: Map<Ino, NameChange[]>,
  paths: TreePaths,
  place: NamePlace,
  { ino, kind }: DentryRecord,
): void {
  const item = { ...place, ino, kind, path: paths.path(place) };
  const known = list.get(ino);
  if (known === undefined) list.set(ino, [item]);
  else known.push(item);
}

function byPath(a: NameChange, b: NameChange): number {
  return a.path < b.path ? -1 : 1;
}

/** The record of an inode; undefined if the inode has no name. */
function living(tree: StoredTree, ino: Ino): InodeRecord | undefined {
  const record = tree.record(ino);
  return record === undefined || record.nlink === 0 ? undefined : record;
}
