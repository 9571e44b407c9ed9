/**
 * A tree as the tables have it, read without opening it, for diff, du and pages. It lacks changes that are only in a
 * fork's journal: call `settleTree` first.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import { FrozenTree, type Lower } from '../lower/index.ts';
import type { DentryRecord } from '../meta/index.ts';
import { hostDirectoriesOf } from './host-source.ts';
import type { TreeInfo } from './tree.ts';

/** The name of a tree, or a state of a tree that a frozen layer holds. */
export type TreeState = string | TreeInfo;

export class StoredTree extends FrozenTree {
  readonly info: TreeInfo;
  /** The tree's layers, uppermost first. */
  readonly chain: readonly LayerId[];

  /** `layers` are the tree's, uppermost first. */
  constructor(layers: readonly Lower[], info: TreeInfo) {
    super(layers, info.root);
    this.info = info;
    this.chain = layers.map(({ id }) => id);
  }

  /** The directories of the host under the tree. */
  get hostDirectories(): string[] {
    return hostDirectoriesOf(this.lowers);
  }

  /** The layer at the bottom. */
  get base(): Lower {
    return this.lowers[this.lowers.length - 1]!;
  }

  /** The inode at an absolute path. Does not follow symlinks. */
  inoAt(path: string): Ino | undefined {
    let ino: Ino | undefined = this.info.root;
    for (const name of path.split('/')) {
      if (name === '' || ino === undefined) continue;
      ino = this.entry(ino, name as Name)?.ino; // A part of a path is a name.
    }
    return ino;
  }

  /** The tree's layers over `common`, or all if `common` is not one of them. */
  private above(common: LayerId): readonly Lower[] {
    const at = this.chain.indexOf(common);
    return at === -1 ? this.lowers : this.lowers.slice(0, at);
  }

  /** True when the layers over `common` can list their inodes. */
  canListAbove(common: LayerId): boolean {
    return this.above(common).every((layer) => layer.inos !== undefined);
  }

  /** The inodes in the layers over `common`. All other inodes are as `common` has them. */
  *inosAbove(common: LayerId): Generator<Ino> {
    for (const layer of this.above(common)) yield* layer.inos?.() ?? [];
  }

  /** The names in a directory in the layers over `common`, including whiteouts. */
  *namesAbove(common: LayerId, directory: Ino): Generator<Name> {
    for (const layer of this.above(common)) yield* layer.names(directory);
  }

  /** The names of a directory, merged from all layers, in byte order. */
  list(directory: Ino): ReadonlyMap<Name, DentryRecord> {
    const named = [...this.names(directory)];
    if (this.chain.length > 1) named.sort((a, b) => (a.name < b.name ? -1 : 1));
    return new Map(named.map(({ name, dentry }) => [name, dentry]));
  }
}

/**
 * The uppermost layer that both trees stand on. Undefined if they have no such layer, if their roots differ, or if a
 * layer above it cannot list its inodes.
 */
export function commonLayer(before: StoredTree, after: StoredTree): StoredTree['chain'][number] | undefined {
  if (before.info.root !== after.info.root) return undefined;
  const chain = new Set(after.chain);
  const common = before.chain.find((layer) => chain.has(layer));
  if (common === undefined || !before.canListAbove(common) || !after.canListAbove(common)) return undefined;
  return common;
}
