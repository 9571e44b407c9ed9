/**
 * The names of one directory that the layers between the upper one and the base changed. In a long chain many layers
 * may have changed a directory, and a lookup of a name that only the base has would miss in each of them. After enough
 * misses the names of all these layers are read once; then a lookup asks a map and the base.
 */
import type { Ino, Name } from '../base/index.ts';
import { type Entry, entryOfRow, NO_ENTRY } from './entry.ts';
import type { Lower } from './lower.ts';

/** Misses after which reading the names of a layer pays: a range of rows costs about as much. */
const MISSES_PER_LAYER = 4;

/** A directory with the cache of its names. */
export interface KnownNames {
  readonly ino: Ino;
  namesBetween: NamesBetween | undefined;
}

export class NamesBetween {
  /** The chain that this was made for. */
  readonly lowers: readonly Lower[];
  private readonly directory: Ino;
  /** Layers that may have names in the directory, the base last. */
  private readonly layers: readonly Lower[];
  private readonly base: Lower | undefined;
  private names: Map<Name, Entry> | undefined;
  private misses = 0;

  constructor(lowers: readonly Lower[], directory: Ino) {
    this.lowers = lowers;
    this.directory = directory;
    this.layers = lowers.filter((layer) => !layer.isBase && layer.mayHave(directory));
    this.base = lowers.find((layer) => layer.isBase);
  }

  /** The entry of a name in the lower layers; `NO_ENTRY` when there is none. */
  lookup(name: Name): Entry {
    if (this.names === undefined && this.misses > this.layers.length * MISSES_PER_LAYER) this.readNames();
    const { names } = this;
    if (names !== undefined) {
      const known = names.get(name);
      if (known !== undefined) return known;
    } else {
      for (const layer of this.layers) {
        const dentry = layer.dentry(this.directory, name);
        if (dentry !== undefined) return entryOfRow(dentry);
        this.misses++;
      }
    }
    const dentry = this.base?.dentry(this.directory, name);
    return dentry === undefined ? NO_ENTRY : entryOfRow(dentry);
  }

  private readNames(): void {
    this.names = new Map();
    for (let index = this.layers.length - 1; index >= 0; index--) {
      for (const { name, dentry } of this.layers[index]!.list(this.directory))
        this.names.set(name, entryOfRow(dentry));
    }
  }
}
