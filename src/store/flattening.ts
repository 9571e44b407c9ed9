/**
 * Flattening: the upper layers of a long chain become one new layer. In one transaction, every layer and snapshot that
 * stood on the uppermost of them moves to the new layer. Trees on the other old layers keep these, and gc removes
 * layers on which nothing stands. No data is copied: the new layer's extents name the same blocks.
 *
 *     before   fork → 5 → 4 → 3 → 2 → base      snapshot → 3
 *     after    fork → 6 → 2 → base              snapshot → 3 → 2 → base        6 = what 5, 4 and 3 say together
 *
 * Flattening takes, from the top down, enough layers to bring the chain well under its limit. Then it goes on while the
 * next layer is not much larger than all layers taken so far. So the number of times a row is copied grows with the
 * logarithm of the rows, and a chain has few large layers. The base is never copied, because it is the imported tree:
 * it is far larger than the layers on it, and trees share it.
 *
 * An inode's record still names the layer that had the extents when the record was written, even after that layer was
 * flattened; `holderOf` (lower/) says where the extents are now.
 *
 * While the new layer is being built it is in state 'building' and its lock is held, as in an import. Meanwhile gc
 * drops nothing. If the process dies, the next gc removes the half-built layer.
 */
import { type Ino, isFsError, type LayerId, type Name, runsByChunk } from '../base/index.ts';
import { FrozenLayer, holderOf, isDerived, type Lower } from '../lower/index.ts';
import type { DentryRecord, InodeRecord, LayerRecord, MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import type { ChainCache } from './chain-cache.ts';
import { LayerLock } from './layer-lock.ts';
import type { StoreParts } from './store-parts.ts';

/** A chain with more layers than this under the writable one is flattened. */
export const CHAIN_LAYERS_MAX = 16;
/** The most layers that a chain has after flattening, including the new one and the base. */
const CHAIN_LAYERS_AFTER = 8;
/** A layer is merged with the layers above it if it has at most this many times as many inodes as they have. */
const GROWTH = 2;

export interface FlatteningParts extends StoreParts {
  readonly chains: ChainCache;
}

/** The layers to merge, uppermost first, and the layer that they stand on. */
interface Plan {
  readonly layers: readonly LayerId[];
  readonly below: LayerId;
}

/** The layers to flatten in the chain from the frozen layer `top` down; undefined when the chain is short enough. */
function planOf({ tables, rows }: StoreParts, top: LayerId, layersMax: number): Plan | undefined {
  const chain = rows.chainOf(top);
  const after = Math.min(CHAIN_LAYERS_AFTER, layersMax);
  if (chain.length <= layersMax || chain.length < 3) return undefined;
  const countMin = Math.max(2, chain.length - after + 1);
  let count = 0;
  let inodes = 0;
  while (count < chain.length - 1) {
    const limit = count < countMin ? Number.POSITIVE_INFINITY : inodes * GROWTH;
    const size = countInodes(tables, chain[count]!, limit);
    if (size > limit) break;
    inodes += size;
    count++;
  }
  return { layers: chain.slice(0, count), below: chain[count]! };
}

/** How many inodes have a record in a layer; stops counting just above `limit`. */
function countInodes(tables: MetaTables, layer: LayerId, limit: number): number {
  let count = 0;
  for (const _ino of tables.inodes.inos(layer)) if (++count > limit) break;
  return count;
}

/** Rows written in one slice. That takes 2 to 5 ms, in which other writers of the store wait. */
const SLICE_ROWS = 500;
/** Writes rows inside a transaction. */
type Put = () => void;

/** One flattening under way: the new layer while it is built. */
export class Flattening {
  private readonly tables: MetaTables;
  private readonly system: System;
  private readonly plan: Plan;
  private readonly id: LayerId;
  private readonly lock: LayerLock;
  private readonly record: LayerRecord;
  /** The layers that are merged, and those below, both uppermost first. */
  private readonly merged: readonly FrozenLayer[];
  private readonly below: readonly Lower[];
  private readonly chain: readonly Lower[];
  private readonly rows: Generator<Put>;

  /**
   * Starts to flatten the chain from `top` down. Undefined if the chain is short enough, or if `top` is no longer
   * frozen, or gc has found it unused.
   */
  static begin(parts: FlatteningParts, top: LayerId, layersMax: number): Flattening | undefined {
    parts.tables.renew();
    const record = parts.tables.layers.get(top);
    if (record?.state !== 'frozen' || record.droppedEpoch !== undefined) return undefined;
    const plan = planOf(parts, top, layersMax);
    return plan === undefined ? undefined : new Flattening(parts, plan);
  }

  private constructor(parts: FlatteningParts, plan: Plan) {
    const { system, tables, layout } = parts;
    this.tables = tables;
    this.system = system;
    this.plan = plan;
    const top = tables.layers.get(plan.layers[0]!)!;
    // As in an import, the lock is taken before the layer's row is written, so that gc never finds a living builder
    // unlocked.
    this.id = tables.transaction(() => tables.allocate('nextLayer')) as LayerId;
    this.lock = LayerLock.take(system, layout.journalPath(this.id));
    this.record = {
      ...top,
      state: 'building',
      parent: plan.below,
      activeBlob: 0,
      depth: tables.layers.get(plan.below)!.depth + 1,
      created: system.clock.now(),
      unsealedBlobs: [],
    };
    tables.transaction(() => {
      tables.allocate('builders');
      tables.layers.put(this.id, this.record);
    });
    this.merged = plan.layers.map((layer) => frozenLayer(tables, layer));
    this.below = parts.chains.under(plan.below);
    this.chain = [...this.merged, ...this.below];
    this.rows = this.putRows();
  }

  /** Reads some rows, and then writes them in one transaction. True when all rows are written. */
  step(rowsMax: number = SLICE_ROWS): boolean {
    const puts: Put[] = [];
    let isLast = false;
    while (puts.length < rowsMax && !isLast) {
      const { done, value } = this.rows.next();
      if (done === true) isLast = true;
      else puts.push(value);
    }
    this.tables.transaction(() => {
      for (const put of puts) put();
    });
    return isLast;
  }

  /**
   * Moves the layers and snapshots that stand on the uppermost of the old layers to the new one. If none stands there
   * any more, or the old layers are no longer as planned, gives up the new layer and returns false.
   */
  finish(): boolean {
    const { tables, plan } = this;
    const top = plan.layers[0]!;
    // Listed before the transaction begins. A tree that comes in between stays on the old chain, which stays whole.
    tables.renew();
    const children = [...tables.layers.entries()].filter(([, { parent }]) => parent === top);
    const snapshots = [...tables.trees.entries()].filter(([, { layer }]) => layer === top);
    const isDone = tables.transaction(() => {
      if (!this.arePlanned()) return false;
      let isUsed = false;
      for (const [id] of children) {
        const record = tables.layers.get(id);
        if (record?.parent !== top) continue;
        tables.layers.put(id, { ...record, parent: this.id });
        isUsed = true;
      }
      for (const [name] of snapshots) {
        const tree = tables.trees.get(name);
        if (tree?.layer !== top) continue;
        tables.trees.put(name, { ...tree, layer: this.id });
        isUsed = true;
      }
      if (!isUsed) return false;
      tables.layers.put(this.id, { ...this.record, state: 'frozen', frozenAt: this.system.clock.now() });
      return true;
    });
    if (isDone) this.lock.release();
    else this.giveUp();
    return isDone;
  }

  /** Gives up the new layer: gc removes its rows. */
  giveUp(): void {
    try {
      this.lock.abandon();
    } catch (error) {
      if (!isFsError(error)) throw error;
    }
  }

  /**
   * True if the layers still form the chain, and gc has found none of them unused, so that no row was missing when it
   * was read.
   */
  private arePlanned(): boolean {
    const { layers, below } = this.plan;
    return layers.every((layer, index) => {
      const record = this.tables.layers.get(layer);
      return record?.droppedEpoch === undefined && record?.parent === (layers[index + 1] ?? below);
    });
  }

  /** Yields functions, each of which writes one row of the new layer, or a few rows that belong together. */
  private *putRows(): Generator<Put> {
    const inos = new Set<Ino>();
    for (const { id } of this.merged) for (const ino of this.tables.inodes.inos(id)) inos.add(ino);
    for (const ino of inos) {
      const record = firstRecord(this.merged, ino)!;
      if (record.mode === 0) {
        if (this.isBelow(ino)) yield this.putTombstone(ino, record);
      } else {
        yield this.putInode(ino, record);
        yield* this.putNames(ino);
      }
    }
  }

  /**
   * True if a tombstone hides the inode in a layer below. Always true for a derived inode, because a host directory may
   * get the inode back.
   */
  private isBelow(ino: Ino): boolean {
    if (isDerived(ino)) return true;
    const below = firstRecord(this.below, ino);
    return below !== undefined && below.mode !== 0;
  }

  private putTombstone(ino: Ino, record: InodeRecord): Put {
    const { tables } = this;
    const origin = this.originOf(ino);
    return () => {
      if (origin !== undefined) tables.origins.put(this.id, ino, origin);
      tables.inodes.put(this.id, ino, record);
    };
  }

  private putInode(ino: Ino, record: InodeRecord): Put {
    const { tables } = this;
    const extentLayer = this.holderOf(ino, 'extentLayer', record);
    const xattrLayer = this.holderOf(ino, 'xattrLayer', record);
    const runs = this.isMerged(extentLayer) ? (tables.extents.load(extentLayer, ino) ?? []) : undefined;
    const xattrs = this.isMerged(xattrLayer) ? (tables.xattrs.get(xattrLayer, ino) ?? new Map()) : undefined;
    const origin = this.originOf(ino);
    return () => {
      if (origin !== undefined) tables.origins.put(this.id, ino, origin);
      tables.inodes.put(this.id, ino, {
        ...record,
        extentLayer: runs === undefined ? extentLayer : this.id,
        xattrLayer: xattrs === undefined ? xattrLayer : this.id,
      });
      for (const { chunk, runs: own } of runsByChunk(runs ?? []))
        tables.extents.putChunk(this.id, ino, chunk, own);
      if (xattrs !== undefined) tables.xattrs.put(this.id, ino, xattrs);
    };
  }

  /** The origin of a derived inode, as the lowest of the merged layers recorded it. */
  private originOf(ino: Ino): Uint8Array | undefined {
    if (!isDerived(ino)) return undefined;
    const origins = this.merged.map(({ id }) => this.tables.origins.get(id, ino));
    return origins.findLast((origin) => origin !== undefined);
  }

  private holderOf(ino: Ino, field: 'extentLayer' | 'xattrLayer', record: InodeRecord): LayerId | 0 {
    return holderOf(this.chain, ino, field, record[field]);
  }

  private isMerged(layer: LayerId | 0): layer is LayerId {
    return layer !== 0 && this.plan.layers.includes(layer);
  }

  /**
   * Merges the layers' names in a directory. A whiteout stays only where it hides a name, or may come to hide one (in a
   * derived directory).
   */
  private *putNames(directory: Ino): Generator<Put> {
    const { dentries } = this.tables;
    const names = new Map<Name, DentryRecord>();
    for (let index = this.merged.length - 1; index >= 0; index--) {
      const layer = this.merged[index]!;
      if (!layer.mayHave(directory)) continue;
      for (const { name, dentry } of dentries.list(layer.id, directory)) names.set(name, dentry);
    }
    for (const [name, dentry] of names) {
      if (dentry.ino === 0 && !isDerived(directory) && !isShown(this.below, directory, name)) continue;
      yield () => dentries.put(this.id, directory, name, dentry);
    }
  }
}

function frozenLayer(tables: MetaTables, layer: LayerId): FrozenLayer {
  return new FrozenLayer(tables, layer, tables.layers.get(layer)!);
}

/** The uppermost record of an inode, which may be a tombstone; undefined when there is none. */
function firstRecord(layers: readonly Lower[], ino: Ino): InodeRecord | undefined {
  for (const layer of layers) {
    const record = layer.inode(ino);
    if (record !== undefined) return record;
  }
  return undefined;
}

function isShown(layers: readonly Lower[], directory: Ino, name: Name): boolean {
  for (const layer of layers) {
    const dentry = layer.dentry(directory, name);
    if (dentry !== undefined) return dentry.ino !== 0;
  }
  return false;
}
