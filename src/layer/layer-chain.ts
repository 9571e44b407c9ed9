/** The lower layers of one tree, uppermost first, asked one after the other. */
import type { Ino, LayerId, Name } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { isDerived } from './derived-numbers.ts';
import { type Entry, entryOf, NO_ENTRY } from './entry.ts';
import type { Inode } from './inode.ts';
import type { DerivedLower, Lower } from './lower.ts';
import { NamesBetween } from './names-between.ts';

export class LayerChain {
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

  find(id: LayerId): Lower | undefined {
    return this.lowers.find((layer) => layer.id === id);
  }

  /** Whether a live layer may have the inode, and names in it. */
  isLive(ino: Ino): boolean {
    return this.live !== undefined && isDerived(ino);
  }

  /** Whether a live layer has a part in what an inode is: its record, its bytes, or its names. */
  mayChange(inode: Inode): boolean {
    if (this.live === undefined || !isDerived(inode.ino)) return false;
    return inode.isUnrecorded || inode.isDirectory || inode.record.extentLayer === this.live.id;
  }

  /** The record of a living inode. */
  record(ino: Ino): InodeRecord | undefined {
    for (const layer of this.lowers) {
      const record = layer.inode(ino);
      if (record !== undefined) return record.mode === 0 ? undefined : record;
    }
    return undefined;
  }

  /** What the layers above a derived base have recorded of an inode; a tombstone has mode 0. */
  recorded(ino: Ino): InodeRecord | undefined {
    for (const layer of this.lowers) {
      const record = layer === this.derived ? undefined : layer.inode(ino);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  name(directory: Inode, name: Name): Entry {
    const { lowers } = this;
    if (lowers.length < 2) {
      const dentry = lowers[0]?.dentry(directory.ino, name);
      return dentry === undefined || dentry.ino === 0 ? NO_ENTRY : entryOf(dentry.ino, dentry.kind);
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
      if (dentry !== undefined) return dentry.ino === 0 ? NO_ENTRY : entryOf(dentry.ino, dentry.kind);
    }
    return undefined;
  }
}

function isDerivedLower(lower: Lower): lower is DerivedLower {
  return 'origin' in lower;
}
