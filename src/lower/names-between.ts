/**
 * The names of one directory that the layers between the upper one and the base changed. In a long chain a directory
 * may have been changed in many layers, and each of them would be asked in vain for every name that only the base has.
 * When that has happened often enough the names of all of them are read once, and a lookup is one look into a map and
 * one into the base.
 */
import type { Ino, Name } from '../base/index.ts';
import { type Entry, entryOfRow, NO_ENTRY } from './entry.ts';
import type { Lower } from './lower.ts';

/** Questions in vain that pay for reading the names of a layer: a range of rows costs about so many of them. */
const MISSES_PER_LAYER = 4;

/** A directory, with what was read together of its names. */
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

  /** What the lower layers say of a name; `NO_ENTRY` when it is not there. */
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
