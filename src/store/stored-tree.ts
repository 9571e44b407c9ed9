/**
 * A tree as the tables have it, read without opening it: what diff, du and pages look at. What a fork's
 * journal holds and no checkpoint has stored yet is not seen; `settleTree` brings it in first.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import { holderOf, type Lower } from '../layer/index.ts';
import type { DentryRecord, InodeRecord, Run } from '../meta/index.ts';
import type { Tree, TreeInfo } from './tree.ts';

export class StoredTree {
  readonly info: TreeInfo;
  /** The tree's layers, uppermost first. */
  readonly chain: readonly LayerId[];
  private readonly layers: readonly Lower[];

  /** `layers` are the tree's, uppermost first. */
  constructor(layers: readonly Lower[], info: TreeInfo) {
    this.info = info;
    this.layers = layers;
    this.chain = layers.map(({ id }) => id);
  }

  /** The inode's record; undefined where it does not exist or is dead. */
  record(ino: Ino): InodeRecord | undefined {
    for (const layer of this.layers) {
      const record = layer.inode(ino);
      if (record !== undefined) return record.mode === 0 ? undefined : record;
    }
    return undefined;
  }

  /** A file's runs; none for one that is all hole. */
  runs(ino: Ino, record: InodeRecord): readonly Run[] {
    const holder = this.extentLayer(ino, record);
    return this.layers.find(({ id }) => id === holder)?.runs(ino, record.size) ?? [];
  }

  /** The layer of the chain that has the file's extents; 0 for none. */
  extentLayer(ino: Ino, record: InodeRecord): LayerId | 0 {
    return holderOf(this.layers, ino, 'extentLayer', record.extentLayer);
  }

  xattrs(ino: Ino, record: InodeRecord): ReadonlyMap<string, Buffer> {
    const holder = holderOf(this.layers, ino, 'xattrLayer', record.xattrLayer);
    return this.layers.find(({ id }) => id === holder)?.xattrs(ino) ?? new Map();
  }

  /** What a name stands for in a directory. */
  entry(directory: Ino, name: Name): DentryRecord | undefined {
    for (const layer of this.layers) {
      const dentry = layer.dentry(directory, name);
      if (dentry !== undefined) return dentry.ino === 0 ? undefined : dentry;
    }
    return undefined;
  }

  /** The inode at an absolute path, symlinks not followed. */
  inoAt(path: string): Ino | undefined {
    let ino: Ino | undefined = this.info.root;
    for (const name of path.split('/')) {
      if (name === '' || ino === undefined) continue;
      ino = this.entry(ino, name as Name)?.ino; // A part of a path is a name.
    }
    return ino;
  }

  /** The layers of this tree over `common`, all of them where it is none of them. */
  private above(common: LayerId): readonly Lower[] {
    const at = this.chain.indexOf(common);
    return at === -1 ? this.layers : this.layers.slice(0, at);
  }

  /** Whether the layers over `common` can tell which inodes they say something of. */
  canListAbove(common: LayerId): boolean {
    return this.above(common).every((layer) => layer.inos !== undefined);
  }

  /** The inodes that the layers over `common` say something of: all others are as they are there. */
  *inosAbove(common: LayerId): Generator<Ino> {
    for (const layer of this.above(common)) yield* layer.inos?.() ?? [];
  }

  /** The names in a directory that the layers over `common` say something of, whiteouts too. */
  *namesAbove(common: LayerId, directory: Ino): Generator<Name> {
    for (const layer of this.above(common)) yield* layer.names(directory);
  }

  /** The names of a directory, merged from all layers, in byte order. */
  list(directory: Ino): ReadonlyMap<Name, DentryRecord> {
    const merged = new Map<Name, DentryRecord>();
    for (let index = this.layers.length - 1; index >= 0; index--) {
      const layer = this.layers[index]!;
      if (!layer.mayHave(directory)) continue;
      for (const { name, dentry } of layer.list(directory)) {
        if (dentry.ino === 0) merged.delete(name);
        else merged.set(name, dentry);
      }
    }
    if (this.chain.length === 1) return merged;
    return new Map([...merged].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** A `StoreEngine`, as far as trees are read from its tables: it hands out stored trees, so it cannot be imported. */
export interface TreeSource {
  readonly openTrees: readonly Tree[];
  openTreeOf(name: string): Tree | undefined;
  openTree(name: string): Tree;
  info(name: string): TreeInfo;
  list(): TreeInfo[];
  storedTree(info: TreeInfo): StoredTree;
}

/** Forks that another process owns and has just stored for us: what the tables say of them is what they are. */
export type SettledElsewhere = ReadonlySet<string>;

/**
 * Brings what a fork's journal holds into the tables and returns the tree. ENOENT; EBUSY when another process
 * owns the fork, whose journal only it may read, unless that has been done there. A state of a tree is one already.
 */
export function settleTree(
  engine: TreeSource,
  name: string | TreeInfo,
  elsewhere: SettledElsewhere,
): StoredTree {
  if (typeof name !== 'string') return engine.storedTree(name);
  const open = engine.openTreeOf(name);
  if (open !== undefined) open.checkpoint();
  else if (engine.info(name).kind === 'fork' && !elsewhere.has(name)) engine.openTree(name).close();
  return engine.storedTree(engine.info(name));
}

/**
 * All trees, as far as this process can bring them up to date: a fork that another owns is as it last stored
 * it.
 */
export function storedTrees(engine: TreeSource): StoredTree[] {
  for (const tree of engine.openTrees) tree.checkpoint();
  return engine.list().map((info) => engine.storedTree(info));
}
