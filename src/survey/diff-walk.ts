/**
 * What differs between two trees that have no layer in common: all of both is looked at, name by name. Inode numbers
 * of one say nothing in the other, so nothing is found to be renamed.
 */
import { DT_DIR, type Ino, type Name } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import type { DentryRecord } from '../meta/index.ts';
import type { StoredTree } from '../store/index.ts';
import { type Change, change } from './change.ts';
import { InodeComparison } from './inode-comparison.ts';

export class WholeComparison {
  private readonly before: StoredTree;
  private readonly after: StoredTree;
  private readonly inodes: InodeComparison;
  private readonly changes: Change[] = [];

  constructor(blobs: BlobSpace, before: StoredTree, after: StoredTree) {
    this.inodes = new InodeComparison(blobs, before, after);
    this.before = before;
    this.after = after;
  }

  all(): Change[] {
    this.both('/', this.before.info.root, this.after.info.root, DT_DIR);
    return this.changes;
  }

  /** A name that is there on both sides, with one kind of file. */
  private both(path: string, before: Ino, after: Ino, kind: number): void {
    const parts = this.inodes.parts(before, after, kind);
    if (parts.length > 0) {
      const sides = { before: this.before.record(before), after: this.after.record(after) };
      this.changes.push(change('modified', path, kind, sides, { parts }));
    }
    if (kind === DT_DIR) this.directory(path === '/' ? '' : path, before, after);
  }

  private directory(path: string, before: Ino, after: Ino): void {
    const namesBefore = this.before.list(before);
    const namesAfter = this.after.list(after);
    for (const name of mergedNames(namesBefore, namesAfter)) {
      const old = namesBefore.get(name);
      const now = namesAfter.get(name);
      const child = `${path}/${name}`;
      if (old !== undefined && now !== undefined && old.kind === now.kind) {
        this.both(child, old.ino, now.ino, old.kind);
        continue;
      }
      if (old !== undefined) this.oneSided('removed', child, old, this.before);
      if (now !== undefined) this.oneSided('added', child, now, this.after);
    }
  }

  private oneSided(kind: 'added' | 'removed', path: string, dentry: DentryRecord, tree: StoredTree): void {
    const record = tree.record(dentry.ino);
    const sides = kind === 'added' ? { after: record } : { before: record };
    this.changes.push(change(kind, path, dentry.kind, sides));
    if (dentry.kind !== DT_DIR) return;
    for (const [name, child] of tree.list(dentry.ino)) this.oneSided(kind, `${path}/${name}`, child, tree);
  }
}

/** All names of both, each once, in byte order. */
function mergedNames(a: ReadonlyMap<Name, DentryRecord>, b: ReadonlyMap<Name, DentryRecord>): Name[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort((left, right) => (left < right ? -1 : 1));
}
