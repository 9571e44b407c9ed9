/**
 * The paths of inodes in a stored tree. A directory's record names its parent. Any other record names only the
 * directory that last got a name of the inode, so `of` searches that directory first. If that directory has fewer names
 * of the inode than the link count says (hard links), one walk of the tree finds all missing names.
 */
import { DT_DIR, FsError, type Ino, kindOfMode, type Name } from '../base/index.ts';
import { isDerived } from '../lower/index.ts';
import type { StoredTree } from '../store/index.ts';

/** One name of an inode. */
export interface NamePlace {
  readonly directory: Ino;
  readonly name: Name;
}

export class TreePaths {
  private readonly tree: StoredTree;
  /** For each directory that was searched: its names by inode. */
  private readonly namesIn = new Map<Ino, ReadonlyMap<Ino, readonly Name[]>>();
  private readonly directories = new Map<Ino, string>();
  /** Directories whose paths are being looked up, to detect a cycle of parents in a damaged tree. */
  private readonly underWay = new Set<Ino>();

  constructor(tree: StoredTree) {
    this.tree = tree;
    this.directories.set(tree.info.root, '');
  }

  /** The path of a living directory, without a slash at its end: '' for the root. */
  directory(ino: Ino): string {
    let path = this.directories.get(ino);
    if (path === undefined) {
      const parent = this.tree.record(ino)?.parent;
      const name = parent === undefined ? undefined : this.names(parent).get(ino)?.[0];
      if (parent === undefined || name === undefined) {
        if (!isDerived(ino)) throw this.isLost(ino);
        throw new FsError('ESTALE', { note: 'the host directory is being changed: try again' });
      }
      if (this.underWay.has(ino)) throw this.isLost(ino);
      this.underWay.add(ino);
      path = `${this.directory(parent)}/${name}`;
      this.underWay.delete(ino);
      this.directories.set(ino, path);
    }
    return path;
  }

  private isLost(ino: Ino): FsError {
    const note = `directory ${ino} is damaged: its recorded parent is wrong; run fsck`;
    return new FsError('EIO', { path: this.tree.info.name, note });
  }

  path({ directory, name }: NamePlace): string {
    return `${this.directory(directory)}/${name}`;
  }

  private names(directory: Ino): ReadonlyMap<Ino, readonly Name[]> {
    let names = this.namesIn.get(directory);
    if (names === undefined) {
      const byIno = new Map<Ino, Name[]>();
      for (const [name, { ino }] of this.tree.list(directory)) {
        const known = byIno.get(ino);
        if (known === undefined) byIno.set(ino, [name]);
        else known.push(name);
      }
      names = byIno;
      this.namesIn.set(directory, names);
    }
    return names;
  }

  /** All names of living inodes; the root has none. */
  of(inos: Iterable<Ino>): ReadonlyMap<Ino, readonly NamePlace[]> {
    const places = new Map<Ino, NamePlace[]>();
    const missing = new Map<Ino, NamePlace[]>();
    for (const ino of inos) {
      const record = this.tree.record(ino);
      if (record === undefined || record.nlink === 0 || ino === this.tree.info.root) continue;
      const isDirectory = kindOfMode(record.mode) === DT_DIR;
      const found = this.isDirectory(record.parent) ? (this.names(record.parent).get(ino) ?? []) : [];
      const list = found.map((name) => ({ directory: record.parent, name }));
      places.set(ino, list);
      if (list.length < (isDirectory ? 1 : record.nlink)) missing.set(ino, list);
    }
    if (missing.size > 0) this.search(this.tree.info.root, missing);
    return places;
  }

  /** All paths of living inodes. */
  *pathsOf(inos: Iterable<Ino>): Generator<readonly [Ino, readonly string[]]> {
    for (const [ino, places] of this.of(inos)) yield [ino, places.map((place) => this.path(place))];
  }

  /** All paths of each file that has several names, if one of its paths is in `paths`. */
  linkedAt(paths: Iterable<string>): Generator<readonly [Ino, readonly string[]]> {
    const linked = new Set<Ino>();
    for (const path of paths) {
      const ino = this.tree.inoAt(path);
      if (ino === undefined || this.isDirectory(ino)) continue;
      if ((this.tree.record(ino)?.nlink ?? 1) > 1) linked.add(ino);
    }
    return this.pathsOf(linked);
  }

  private isDirectory(ino: Ino): boolean {
    const record = ino === 0 ? undefined : this.tree.record(ino);
    return record !== undefined && record.nlink > 0 && kindOfMode(record.mode) === DT_DIR;
  }

  private search(root: Ino, missing: ReadonlyMap<Ino, NamePlace[]>): void {
    const directories = [root];
    const seen = new Set(directories);
    for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
      for (const [name, { ino, kind }] of this.tree.list(directory)) {
        if (kind === DT_DIR && !seen.has(ino)) {
          seen.add(ino);
          directories.push(ino);
        }
        const list = missing.get(ino);
        if (list?.every((place) => place.directory !== directory || place.name !== name)) {
          list.push({ directory, name });
        }
      }
    }
  }
}
