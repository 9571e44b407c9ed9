/**
 * The frozen layers under the trees of a store, from the uppermost one down to the base. All trees of this process that
 * stand on a layer share one object for it. Flattening puts trees on other layers, and open trees follow.
 */
import { type BlobId, type LayerId, nameToString } from '../base/index.ts';
import type { ExternalPlace, ExternalSource, ExternalState } from '../blob/index.ts';
import {
  FrozenLayer,
  FrozenTree,
  HostLayer,
  type HostLayerParts,
  type Lower,
  UnionLayer,
} from '../lower/index.ts';
import type { LayerRecord, MetaTables } from '../meta/index.ts';
import { HostMounts } from '../sys/index.ts';
import type { StoreParts } from './store-parts.ts';
import { StoredTree } from './stored-tree.ts';
import type { Tree, TreeInfo } from './tree.ts';
import type { TreeRows } from './tree-rows.ts';

export class ChainCache implements ExternalSource {
  private readonly tables: MetaTables;
  private readonly rows: TreeRows;
  private readonly parts: HostLayerParts;
  private readonly frozen = new Map<LayerId, Lower>();

  constructor({ system, tables, blobs, layout, rows }: StoreParts) {
    const store = system.statHost(Buffer.from(layout.directory), true);
    this.parts = { system, tables, blobs, mounts: new HostMounts(system), store };
    this.tables = tables;
    this.rows = rows;
  }

  /** The frozen layers from `layer` down to the base, as the tables have them now. */
  under(layer: LayerId | 0): Lower[] {
    const chain: Lower[] = [];
    let next = layer;
    while (next !== 0) {
      const record = this.rows.layer(next);
      let frozen = this.frozen.get(next);
      if (frozen === undefined) {
        frozen = this.lower(next, record);
        this.frozen.set(next, frozen);
      }
      chain.push(frozen);
      next = record.parent;
    }
    return chain;
  }

  /**
   * Like `under`, for a tree that is about to be opened. Also calls `HostLayer.confirm`, in case a host directory
   * moved.
   */
  opened(layer: LayerId | 0): Lower[] {
    const chain = this.under(layer);
    for (const lower of withComponents(chain)) if (lower instanceof HostLayer) lower.confirm();
    return chain;
  }

  private lower(layer: LayerId, record: LayerRecord): Lower {
    if (record.host !== undefined) return new HostLayer(this.parts, layer, record.host);
    if (record.components !== undefined) return this.union(layer, record.components);
    return new FrozenLayer(this.tables, layer, record);
  }

  private union(layer: LayerId, components: readonly LayerId[]): UnionLayer {
    const trees = components.map((top) => new FrozenTree(this.under(top), this.rows.layer(top).root));
    return new UnionLayer(layer, trees, (ino) => this.tables.origins.get(layer, ino));
  }

  /** A tree as the tables have it. */
  storedTree(info: TreeInfo): StoredTree {
    return new StoredTree(this.stored(info.layer), info);
  }

  /** The layers from `layer` down; a writable layer as the tables have it. Empty if `layer` itself is missing. */
  private stored(layer: LayerId): Lower[] {
    const record = this.tables.layers.get(layer);
    if (record === undefined) return [];
    if (record.state === 'frozen') return this.under(layer);
    return [new FrozenLayer(this.tables, layer, record), ...this.under(record.parent)];
  }

  /** The recorded state of a host file, for `ExternalSource`. */
  externalState(blob: BlobId): ExternalState | undefined {
    return this.tables.externals.get(blob);
  }

  /** Where the host file is; undefined when its host tree is gone. */
  externalPlace(state: ExternalState): ExternalPlace | undefined {
    const record = this.tables.layers.get(state.layer);
    if (record?.host === undefined) return undefined;
    const [host] = this.under(state.layer);
    if (!(host instanceof HostLayer)) return undefined;
    const shownPath = nameToString(`${record.host.path}/${state.path}`);
    return { shownPath, open: () => host.openRecorded(state) };
  }

  /** Closes the descriptors of host files that layers hold. */
  close(): void {
    for (const layer of this.frozen.values()) layer.close?.();
    this.frozen.clear();
  }

  /** Adds a layer that was just frozen. */
  add(layer: Lower): void {
    this.frozen.set(layer.id, layer);
  }

  /** Puts the open trees on the layers that the tables have under them now, and forgets unused layers. */
  follow(trees: readonly Tree[]): void {
    this.tables.renew();
    for (const tree of trees) this.followOne(tree);
    this.forgetUnused(trees);
  }

  /** Forgets layers that none of `trees` needs, and closes their files, so that the host can unmount the filesystem. */
  forgetUnused(trees: readonly Tree[]): void {
    const inUse = new Set(trees.flatMap((tree) => [...withComponents(tree.stack.lowers)]));
    for (const [id, layer] of this.frozen) {
      if (inUse.has(layer)) continue;
      layer.close?.();
      this.frozen.delete(id);
    }
  }

  /** Forgets layers that gc has removed. */
  forgetRemoved(): void {
    for (const [id, layer] of this.frozen) {
      if (this.tables.layers.get(id) !== undefined) continue;
      layer.close?.();
      this.frozen.delete(id);
    }
  }

  private followOne(tree: Tree): void {
    const { stack } = tree;
    const info = this.tables.trees.get(tree.info.name);
    // A tree that was dropped while open here keeps its layers, since this process's lease protects them from gc.
    if (info?.id !== tree.info.id) return;
    tree.info = { ...tree.info, layer: info.layer };
    const { upper } = stack;
    const { state, parent, depth } = this.rows.layer(info.layer);
    if (upper !== undefined) upper.record = { ...upper.record, parent, depth };
    const lowers = this.under(state === 'frozen' ? info.layer : parent);
    const isSame =
      lowers.length === stack.lowers.length && lowers.every((one, at) => one === stack.lowers[at]);
    if (!isSame) stack.lowers = lowers;
  }

  /** How many layers a tree has, not counting a writable layer. */
  lengthOf({ layer }: TreeInfo): number {
    this.tables.renew();
    return this.frozenTop(layer).length;
  }

  /** The result of `frozenTop` for every tree that stands on a frozen layer. */
  *frozenTops(): Generator<{ readonly top: LayerId; readonly length: number }> {
    for (const [, { layer }] of this.tables.trees.entries()) {
      const { top, length } = this.frozenTop(layer);
      if (top !== 0) yield { top, length };
    }
  }

  /**
   * For a tree whose layer is `layer`. `top`: the uppermost frozen layer, 0 for none. `length`: the number of layers
   * from `top` down.
   */
  private frozenTop(layer: LayerId): { readonly top: LayerId | 0; readonly length: number } {
    const record = this.tables.layers.get(layer);
    const top = record?.state === 'writable' ? record.parent : layer;
    return { top, length: this.rows.chainOf(top).length };
  }
}

/** Layers, and the components of unions among them. */
function* withComponents(layers: readonly Lower[]): Generator<Lower> {
  for (const layer of layers) {
    yield layer;
    if (!(layer instanceof UnionLayer)) continue;
    for (const { lowers } of layer.components) yield* withComponents(lowers);
  }
}
