/** A frozen layer and all layers below it, read as one tree. */
import type { Ino, LayerId, Name, Run } from '../base/index.ts';
import type { DentryRecord, InodeRecord, NamedDentry } from '../meta/index.ts';
import { recordNow } from './host-record.ts';
import type { Lower } from './lower.ts';
import { holderOf, LowerChain } from './lower-chain.ts';

export class FrozenTree extends LowerChain {
  readonly root: Ino;

  /** `layers`: uppermost first. */
  constructor(layers: readonly Lower[], root: Ino) {
    super(layers);
    this.root = root;
  }

  /** The record of a living inode. If only attributes of a host file are recorded, the size is the file's size now. */
  override record(ino: Ino): InodeRecord | undefined {
    const recorded = this.recorded(ino);
    const record = this.living(ino, recorded);
    const { live } = this;
    if (record === undefined || recorded === undefined || record.extentLayer !== live?.id) return record;
    const file = live.hostFile(ino);
    return file === undefined ? record : recordNow(record, file);
  }

  entry(directory: Ino, name: Name): DentryRecord | undefined {
    for (const layer of this.lowers) {
      const dentry = layer.dentry(directory, name);
      if (dentry !== undefined) return dentry.ino === 0 ? undefined : dentry;
    }
    return undefined;
  }

  /** All names of a directory; in byte order if a single layer has them. */
  names(directory: Ino): readonly NamedDentry[] {
    const having = this.lowers.filter((layer) => layer.mayHave(directory));
    if (having.length === 1) return having[0]!.list(directory).filter(({ dentry }) => dentry.ino !== 0);
    const merged = new Map<Name, NamedDentry>();
    for (let index = having.length - 1; index >= 0; index--) {
      for (const named of having[index]!.list(directory)) {
        if (named.dentry.ino === 0) merged.delete(named.name);
        else merged.set(named.name, named);
      }
    }
    return [...merged.values()];
  }

  /** The layer that has the file's extents; 0 for none. */
  extentLayer(ino: Ino, record: InodeRecord): LayerId | 0 {
    return holderOf(this.lowers, ino, 'extentLayer', record.extentLayer);
  }

  /** The runs of a file; empty if the file is one hole. */
  runs(ino: Ino, record: InodeRecord): readonly Run[] {
    const holder = this.extentLayer(ino, record);
    return this.find(holder)?.runs(ino, record.size) ?? [];
  }

  /** The inodes of the tree whose extents are the rows that `layer` has for `ino`: usually `ino` itself, or none. */
  shownAs(layer: LayerId, ino: Ino): Ino[] {
    const base = this.lowers[this.lowers.length - 1];
    const numbers = base?.shownAs?.(layer, ino).filter((number) => this.hasExtents(number, base.id)) ?? [];
    const isOwn = this.lowers.some(({ id }) => id === layer) && this.hasExtents(ino, layer);
    return isOwn ? [ino, ...numbers] : numbers;
  }

  private hasExtents(ino: Ino, layer: LayerId): boolean {
    const record = this.record(ino);
    return record !== undefined && this.extentLayer(ino, record) === layer;
  }

  xattrs(ino: Ino, record: InodeRecord): ReadonlyMap<string, Buffer> {
    const holder = holderOf(this.lowers, ino, 'xattrLayer', record.xattrLayer);
    return this.find(holder)?.xattrs(ino) ?? new Map();
  }
}
