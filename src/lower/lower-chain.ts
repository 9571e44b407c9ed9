/** The lower layers of one tree, uppermost first, asked one after the other. */
import type { Ino, LayerId, Name } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { isDerived } from './derived-numbers.ts';
import { type Entry, entryOfRow, NO_ENTRY } from './entry.ts';
import type { DerivedLower, Lower } from './lower.ts';

export class LowerChain {
  readonly lowers: readonly Lower[];
  /** The base, if it is a derived layer. */
  readonly derived: DerivedLower | undefined;
  /** The base, if it is a live layer. */
  readonly live: DerivedLower | undefined;

  constructor(lowers: readonly Lower[]) {
    this.lowers = lowers;
    const base = lowers[lowers.length - 1];
    this.derived = base !== undefined && isDerivedLower(base) ? base : undefined;
    this.live = this.derived?.isLive === true ? this.derived : undefined;
  }

  find(id: LayerId | 0): Lower | undefined {
    return this.lowers.find((layer) => layer.id === id);
  }

  /** Whether the inode, and names in it, may come from a live layer. */
  isLive(ino: Ino): boolean {
    return this.live !== undefined && isDerived(ino);
  }

  /** The record of an inode; undefined if there is none or the inode was removed. */
  record(ino: Ino): InodeRecord | undefined {
    return this.living(ino, this.recorded(ino));
  }

  /** The record that the layers above a derived base have of an inode; a tombstone has mode 0. */
  recorded(ino: Ino): InodeRecord | undefined {
    for (const layer of this.lowers) {
      const record = layer === this.derived ? undefined : layer.inode(ino);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  /** The same as `record`, for a caller that has what `recorded` returned. */
  protected living(ino: Ino, recorded: InodeRecord | undefined): InodeRecord | undefined {
    const record = recorded ?? this.derived?.inode(ino);
    return record?.mode === 0 ? undefined : record;
  }

  name(directory: KnownNames, name: Name): Entry {
    const { lowers } = this;
    if (lowers.length < 2) {
      const dentry = lowers[0]?.dentry(directory.ino, name);
      return dentry === undefined ? NO_ENTRY : entryOfRow(dentry);
    }
    let between = directory.namesBetween;
    if (between?.lowers !== lowers) {
      between = new NamesBetween(lowers, directory.ino);
      directory.namesBetween = between;
    }
    return between.lookup(name);
  }

  /** The entry that the layers above a derived base have for a name; undefined when they have none. */
  recordedName(directory: Ino, name: Name): Entry | undefined {
    for (const layer of this.lowers) {
      const dentry = layer === this.derived ? undefined : layer.dentry(directory, name);
      if (dentry !== undefined) return entryOfRow(dentry);
    }
    return undefined;
  }
}

function isDerivedLower(lower: Lower): lower is DerivedLower {
  return 'origin' in lower;
}

/**
 * After this many misses for each layer, it pays to read all names: reading a range of rows costs about as much as this
 * many lookups.
 */
const MISSES_PER_LAYER = 4;

/** A directory with the cache of its names. */
export interface KnownNames {
  readonly ino: Ino;
  namesBetween: NamesBetween | undefined;
}

/**
 * The names of one directory that the layers between the upper layer and the base changed. In a long chain many layers
 * may have changed a directory, and a lookup of a name that only the base has would miss in each of them. After enough
 * misses this class reads the names of all these layers once; then a lookup asks a map and the base.
 */
export class NamesBetween {
  /** The lower layers that this object was made for. */
  readonly lowers: readonly Lower[];
  private readonly directory: Ino;
  /** The layers above the base that may have names in the directory. */
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

/**
 * The layer that holds the rows of an inode's extents, or of its extended attributes; 0 when none of `lowers`
 * (uppermost first) does. The record names that layer. If flattening has replaced the named layer, the holder is the
 * uppermost layer with such rows, because the layers above the named layer have none: otherwise the record would name
 * one of them.
 */
export function holderOf(
  lowers: readonly Lower[],
  ino: Ino,
  field: 'extentLayer' | 'xattrLayer',
  named: LayerId | 0,
): LayerId | 0 {
  if (named === 0 || lowers.some(({ id }) => id === named)) return named;
  for (const layer of lowers) if (layer.inode(ino)?.[field] === layer.id) return layer.id;
  return 0;
}
