/**
 * A layer and those below it, read from the tables as they are. For fsck: it shares no code with the layer stack that
 * it checks.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import { FrozenLayer, holderOf, type Lower } from '../layer/index.ts';
import type { InodeRecord, LayerRecord, MetaTables } from '../meta/index.ts';

export interface Dentry {
  readonly ino: Ino;
  readonly kind: number;
}

export class LayerView {
  /** Uppermost first. */
  readonly chain: readonly LayerId[];
  private readonly layers: readonly Lower[];

  /** The view from `top` down; from nowhere when it is 0. A layer that is missing ends it. */
  constructor(tables: MetaTables, records: ReadonlyMap<LayerId, LayerRecord>, top: LayerId | 0) {
    const layers: Lower[] = [];
    let layer = top;
    while (layer !== 0) {
      const record = records.get(layer);
      if (record === undefined) break;
      // What a derived layer has is not in the tables.
      if (record.host === undefined) layers.push(new FrozenLayer(tables, layer, record));
      layer = record.parent;
    }
    this.layers = layers;
    this.chain = layers.map(({ id }) => id);
  }

  /** The record of a living inode. */
  record(ino: Ino): InodeRecord | undefined {
    for (const layer of this.layers) {
      const record = layer.inode(ino);
      if (record !== undefined) return record.mode === 0 ? undefined : record;
    }
    return undefined;
  }

  /** The layer of the chain that holds the rows of an inode whose record names layer `named`; 0 for none. */
  holder(ino: Ino, field: 'extentLayer' | 'xattrLayer', named: LayerId | 0): LayerId | 0 {
    return holderOf(this.layers, ino, field, named);
  }

  entry(directory: Ino, name: Name): Dentry | undefined {
    for (const layer of this.layers) {
      const dentry = layer.dentry(directory, name);
      if (dentry !== undefined) return dentry.ino === 0 ? undefined : dentry;
    }
    return undefined;
  }

  names(directory: Ino): Map<Name, Dentry> {
    const merged = new Map<Name, Dentry>();
    for (let index = this.layers.length - 1; index >= 0; index--) {
      const layer = this.layers[index]!;
      if (!layer.mayHave(directory)) continue;
      for (const { name, dentry } of layer.list(directory)) {
        if (dentry.ino === 0) merged.delete(name);
        else merged.set(name, dentry);
      }
    }
    return merged;
  }
}
