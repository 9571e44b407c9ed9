/**
 * A layer and those below it, read from the tables as they are. For fsck, so it shares no code with the layer stack
 * that fsck checks.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import { FrozenLayer, FrozenTree, holderOf, type Lower, UnionLayer } from '../lower/index.ts';
import type { InodeRecord, LayerRecord, MetaTables } from '../meta/index.ts';

export interface Dentry {
  readonly ino: Ino;
  readonly kind: number;
}

type Records = ReadonlyMap<LayerId, LayerRecord>;

export class LayerView {
  private readonly tree: FrozenTree;

  /** The view from `top` down; empty when it is 0. A layer that is missing, or live, ends it. */
  constructor(tables: MetaTables, records: Records, top: LayerId | 0) {
    this.tree = new FrozenTree(lowersFrom(tables, records, top), 0 as Ino); // Nothing here asks for the root.
  }

  /** The record of a living inode. */
  record(ino: Ino): InodeRecord | undefined {
    return this.tree.record(ino);
  }

  /** The layer of the chain that holds the rows of an inode whose record names layer `named`; 0 for none. */
  holder(ino: Ino, field: 'extentLayer' | 'xattrLayer', named: LayerId | 0): LayerId | 0 {
    return holderOf(this.tree.lowers, ino, field, named);
  }

  /** What a layer of the chain itself says of an inode. */
  recordIn(layer: LayerId, ino: Ino): InodeRecord | undefined {
    return this.tree.find(layer)?.inode(ino);
  }

  xattrsIn(layer: LayerId, ino: Ino): ReadonlyMap<string, Buffer> | undefined {
    return this.tree.find(layer)?.xattrs(ino);
  }

  shownAs(layer: LayerId, ino: Ino): Ino[] {
    return this.tree.shownAs(layer, ino);
  }

  entry(directory: Ino, name: Name): Dentry | undefined {
    return this.tree.entry(directory, name);
  }

  names(directory: Ino): Map<Name, Dentry> {
    return new Map(this.tree.names(directory).map(({ name, dentry }) => [name, dentry]));
  }
}

function lowersFrom(tables: MetaTables, records: Records, top: LayerId | 0): Lower[] {
  const lowers: Lower[] = [];
  for (let layer = top; layer !== 0; ) {
    const record = records.get(layer);
    // What a live layer has is not in the tables.
    if (record === undefined || isLiveLayer(records, layer)) break;
    lowers.push(
      record.components === undefined
        ? new FrozenLayer(tables, layer, record)
        : unionOf(tables, records, layer, record.components),
    );
    layer = record.parent;
  }
  return lowers;
}

function unionOf(tables: MetaTables, records: Records, layer: LayerId, tops: readonly LayerId[]): UnionLayer {
  const trees = tops.map(
    (top) => new FrozenTree(lowersFrom(tables, records, top), records.get(top)?.root ?? (0 as Ino)),
  );
  return new UnionLayer(layer, trees, (ino) => tables.origins.get(layer, ino));
}

/** Whether what a layer has of its inodes is the host's to say, so that there is nothing to check it against. */
export function isLiveLayer(records: Records, layer: LayerId | 0): boolean {
  const record = layer === 0 ? undefined : records.get(layer);
  return record?.host !== undefined || record?.components?.some((top) => standsOnLive(records, top)) === true;
}

/** Whether a layer, or one below it, is live. */
export function standsOnLive(records: Records, layer: LayerId | 0): boolean {
  for (let next = layer; next !== 0; next = records.get(next)?.parent ?? 0)
    if (isLiveLayer(records, next)) return true;
  return false;
}
