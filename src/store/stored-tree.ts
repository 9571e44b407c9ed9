/**
 * A tree as the tables have it, read without opening it: what diff, du and pages look at. What a fork's
 * journal holds and no checkpoint has stored yet is not seen; `settleTree` brings it in first.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import { FrozenLayer, holderOf } from '../layer/index.ts';
import type { DentryRecord, InodeRecord, LayerRecord, MetaTables, Run } from '../meta/index.ts';
import type { StoreEngine } from './engine.ts';
import type { TreeInfo } from './tree.ts';

export class StoredTree {
  readonly info: TreeInfo;
  /** The tree's layers, uppermost first. */
  readonly chain: readonly LayerId[];
  private readonly tables: MetaTables;
  private readonly layers: readonly FrozenLayer[];

  constructor(tables: MetaTables, info: TreeInfo) {
    this.tables = tables;
    this.info = info;
    this.layers = layersOf(tables, info.layer);
    this.chain = this.layers.map(({ id }) => id);
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
    const layer = this.extentLayer(ino, record);
    return layer === 0 ? [] : (this.tables.extents.load(layer, ino) ?? []);
  }

  /** The layer of the chain that has the file's extents; 0 for none. */
  extentLayer(ino: Ino, record: InodeRecord): LayerId | 0 {
    return holderOf(this.layers, ino, 'extentLayer', record.extentLayer);
  }

  xattrs(ino: Ino, record: InodeRecord): ReadonlyMap<string, Buffer> {
    const layer = holderOf(this.layers, ino, 'xattrLayer', record.xattrLayer);
    return layer === 0 ? new Map() : (this.tables.xattrs.get(layer, ino) ?? new Map());
  }

  /** What a name is; undefined where it is not there. */
  lookup(directory: Ino, name: Name): DentryRecord | undefined {
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
      ino = this.lookup(ino, name as Name)?.ino; // A part of a path is a name.
    }
    return ino;
  }

  /** The layers of this tree over `common`, all of them where it is none of them. */
  private above(common: LayerId): readonly LayerId[] {
    const at = this.chain.indexOf(common);
    return at === -1 ? this.chain : this.chain.slice(0, at);
  }

  /** The inodes that the layers over `common` say something of: all others are as they are there. */
  *inosAbove(common: LayerId): Generator<Ino> {
    for (const layer of this.above(common)) yield* this.tables.inodes.inos(layer);
  }

  /** The names in a directory that the layers over `common` say something of, whiteouts too. */
  *namesAbove(common: LayerId, directory: Ino): Generator<Name> {
    for (const layer of this.above(common)) yield* this.tables.dentries.names(layer, directory);
  }

  /** The names of a directory, merged from all layers, in byte order. */
  list(directory: Ino): ReadonlyMap<Name, DentryRecord> {
    const merged = new Map<Name, DentryRecord>();
    for (let index = this.layers.length - 1; index >= 0; index--) {
      const layer = this.layers[index]!;
      if (!layer.mayHave(directory)) continue;
      for (const { name, dentry } of this.tables.dentries.list(layer.id, directory)) {
        if (dentry.ino === 0) merged.delete(name);
        else merged.set(name, dentry);
      }
    }
    if (this.chain.length === 1) return merged;
    return new Map([...merged].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** A layer and all below it, uppermost first, as the tables have them. */
function layersOf(tables: MetaTables, top: LayerId): FrozenLayer[] {
  const layers: FrozenLayer[] = [];
  let layer: LayerId | 0 = top;
  while (layer !== 0) {
    const record: LayerRecord | undefined = tables.layers.get(layer);
    if (record === undefined) break;
    layers.push(new FrozenLayer(tables, layer, record));
    layer = record.parent;
  }
  return layers;
}

/** Forks that another process owns and has just stored for us: what the tables say of them is what they are. */
export type SettledElsewhere = ReadonlySet<string>;

/**
 * Brings what a fork's journal holds into the tables and returns the tree. ENOENT; EBUSY when another process
 * owns the fork, whose journal only it may read, unless that has been done there. A state of a tree is one already.
 */
export function settleTree(
  engine: StoreEngine,
  name: string | TreeInfo,
  elsewhere: SettledElsewhere,
): StoredTree {
  engine.tables.renew();
  if (typeof name !== 'string') return new StoredTree(engine.tables, name);
  const open = engine.openTreeOf(name);
  if (open !== undefined) open.checkpoint();
  else if (engine.info(name).kind === 'fork' && !elsewhere.has(name)) engine.openTree(name).close();
  return new StoredTree(engine.tables, engine.info(name));
}

/**
 * All trees, as far as this process can bring them up to date: a fork that another owns is as it last stored
 * it.
 */
export function storedTrees(engine: StoreEngine): StoredTree[] {
  for (const tree of engine.openTrees) tree.checkpoint();
  return engine.list().map((info) => new StoredTree(engine.tables, info));
}
