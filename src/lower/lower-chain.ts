/** The lower layers of one tree, uppermost first, asked one after the other. */
import type { Ino, LayerId, Name } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { isDerived } from './derived-numbers.ts';
import { type Entry, entryOfRow, NO_ENTRY } from './entry.ts';
import type { DerivedLower, Lower } from './lower.ts';
import { type KnownNames, NamesBetween } from './names-between.ts';

export class LowerChain {
  readonly lowers: readonly Lower[];
  /** The base where it is a derived layer, and that where it is a live one. */
  readonly derived: DerivedLower | undefined;
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

  /** Whether a live layer may have the inode, and names in it. */
  isLive(ino: Ino): boolean {
    return this.live !== undefined && isDerived(ino);
  }

  /** The record of a living inode. */
  record(ino: Ino): InodeRecord | undefined {
    return this.living(ino, this.recorded(ino));
  }

  /** What the layers above a derived base have recorded of an inode; a tombstone has mode 0. */
  recorded(ino: Ino): InodeRecord | undefined {
    for (const layer of this.lowers) {
      const record = layer === this.derived ? undefined : layer.inode(ino);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  /** The record of a living inode, given what is recorded of it. */
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

  /** What the layers above a derived base say of a name; undefined when they leave it to that one. */
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
