/**
 * A tree as the tables have it, read without opening it: what diff, du and pages look at. What a fork's
 * journal holds and no checkpoint has stored yet is not seen; `settleTree` brings it in first.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import type { DentryRecord, InodeRecord, MetaTables, Run } from '../meta/index.ts';
import type { StoreEngine } from './engine.ts';
import type { TreeInfo } from './tree.ts';

export class StoredTree {
  readonly info: TreeInfo;
  /** The tree's layers, uppermost first. */
  readonly chain: readonly LayerId[];
  private readonly tables: MetaTables;

  constructor(tables: MetaTables, info: TreeInfo) {
    this.tables = tables;
    this.info = info;
    this.chain = layersOf(tables, info.layer);
  }

  /** The inode's record; undefined where it does not exist or is dead. */
  record(ino: Ino): InodeRecord | undefined {
    for (const layer of this.chain) {
      const record = this.tables.inodes.get(layer, ino);
      if (record !== undefined) return record.mode === 0 ? undefined : record;
    }
    return undefined;
  }

  /** A file's runs; none for one that is all hole. */
  runs(ino: Ino, record: InodeRecord): readonly Run[] {
    if (record.extentLayer === 0) return [];
    return this.tables.extents.load(record.extentLayer, ino) ?? [];
  }

  xattrs(ino: Ino, record: InodeRecord): ReadonlyMap<string, Buffer> {
    if (record.xattrLayer === 0) return new Map();
    return this.tables.xattrs.get(record.xattrLayer, ino) ?? new Map();
  }

  /** The names of a directory, merged from all layers, in byte order. */
  list(directory: Ino): ReadonlyMap<Name, DentryRecord> {
    const merged = new Map<Name, DentryRecord>();
    for (let index = this.chain.length - 1; index >= 0; index--) {
      for (const { name, dentry } of this.tables.dentries.list(this.chain[index]!, directory)) {
        if (dentry.ino === 0) merged.delete(name);
        else merged.set(name, dentry);
      }
    }
    if (this.chain.length === 1) return merged;
    return new Map([...merged].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** A layer and all below it, uppermost first. */
export function layersOf(tables: MetaTables, top: LayerId): LayerId[] {
  const chain: LayerId[] = [];
  for (let layer: LayerId | 0 = top; layer !== 0; layer = tables.layers.get(layer)?.parent ?? 0)
    chain.push(layer);
  return chain;
}

/**
 * Brings what a fork's journal holds into the tables and returns the tree. ENOENT; EBUSY when another process
 * owns the fork, whose journal only it may read.
 */
export function settleTree(engine: StoreEngine, name: string): StoredTree {
  const open = engine.openTreeOf(name);
  if (open !== undefined) open.checkpoint();
  else if (engine.info(name).kind === 'fork') engine.openTree(name).close();
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
