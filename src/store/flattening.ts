/**
 * Flattening: the upper layers of a long chain become one new layer, and whatever stood on the uppermost of them stands
 * on the new one from then on, in one transaction. What stands on the others keeps them; what nobody stands on any
 * more is gc's. No data is copied: the new layer's extents name the blocks that the old ones named.
 *
 *     before   fork → 5 → 4 → 3 → 2 → base      snapshot → 3
 *     after    fork → 6 → 2 → base              snapshot → 3 → 2 → base        6 = what 5, 4 and 3 say together
 *
 * Which layers: at least as many as bring the chain well under its limit, and then every next one that is not much
 * larger than what is being copied already. So a row is copied a number of times that grows with the logarithm of the
 * rows, and a chain has few large layers. The base is never copied: it is the tree that was imported, what
 * stands on it is small beside it, and trees find what they have in common there.
 *
 * A record goes on naming the layer that had its extents when it was written, also when that was flattened; where they
 * are now is `holderOf`'s to say (lower/).
 *
 * While it is being built the layer is in state 'building' and its lock is held, as in an import: gc drops nothing
 * then, and a dead process's half of a layer is removed by the next gc.
 */
import { type Ino, isFsError, type LayerId, type Name, runsByChunk } from '../base/index.ts';
import { FrozenLayer, holderOf, isDerived, type Lower } from '../lower/index.ts';
import type { DentryRecord, InodeRecord, LayerRecord, MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import type { ChainCache } from './chain-cache.ts';
import { LayerLock } from './layer-lock.ts';
import type { StoreParts } from './store-parts.ts';

/** A chain with more layers under the writable one is flattened. */
export const CHAIN_LAYERS_MAX = 16;
/** Layers that a chain has afterwards, or fewer, the new one and the base among them. */
const CHAIN_LAYERS_AFTER = 8;
/** A layer with at most so many times the inodes of those above it is copied with them. */
const GROWTH = 2;

export interface FlatteningParts extends StoreParts {
  readonly chains: ChainCache;
}

/** Layers that are to become one, uppermost first, and what they stand on. */
interface Plan {
  readonly layers: readonly LayerId[];
  readonly below: LayerId;
}

/** What to flatten of the chain that begins with the frozen layer `top`; undefined when it is short enough. */
function planOf(tables: MetaTables, top: LayerId, layersMax: number): Plan | undefined {
  const chain: LayerId[] = [];
  for (let layer: LayerId | 0 = top; layer !== 0; layer = tables.layers.get(layer)?.parent ?? 0)
    chain.push(layer);
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

/** How many inodes a layer has a record of; something over `limit` when it has more. */
function countInodes(tables: MetaTables, layer: LayerId, limit: number): number {
  let count = 0;
  for (const _ino of tables.inodes.inos(layer)) if (++count > limit) break;
  return count;
}

/** Rows written in one slice: 2 to 5 ms, in which other writers of the store wait. */
const SLICE_ROWS = 500;
/** Writes rows inside a transaction. */
type Put = () => void;

/** One new layer in the making. */
export class Flattening {
  private readonly tables: MetaTables;
  private readonly system: System;
  private readonly plan: Plan;
  private readonly id: LayerId;
  private readonly lock: LayerLock;
  private readonly record: LayerRecord;
  /** What becomes one, and what it stands on, both uppermost first. */
  private readonly merged: readonly FrozenLayer[];
  private readonly below: readonly Lower[];
  private readonly chain: readonly Lower[];
  private readonly rows: Generator<Put>;

  /** Undefined when the chain under `top`, that layer included, has no more than `layersMax` layers. */
  static begin(parts: FlatteningParts, top: LayerId, layersMax: number): Flattening | undefined {
    parts.tables.renew();
    const record = parts.tables.layers.get(top);
    if (record?.state !== 'frozen' || record.droppedEpoch !== undefined) return undefined;
    const plan = planOf(parts.tables, top, layersMax);
    return plan === undefined ? undefined : new Flattening(parts, plan);
  }

  private constructor(parts: FlatteningParts, plan: Plan) {
    const { system, tables, layout } = parts;
    this.tables = tables;
    this.system = system;
    this.plan = plan;
    const top = tables.layers.get(plan.layers[0]!)!;
    // As for an import: the number first and the lock next, so that gc never meets a living builder without its lock.
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

  /** Writes some rows in one transaction, for which all is read before it; true when all are written. */
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

  /** What stood on the uppermost of the layers stands on the new one from then on; false when nothing does any more. */
  finish(): boolean {
    const { tables, plan } = this;
    const top = plan.layers[0]!;
    // Looked for before the transaction. What comes in between stands on the old chain, which stays whole.
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

  /** The layer will not be finished: gc removes what there is of it. */
  giveUp(): void {
    try {
      this.lock.abandon();
    } catch (error) {
      if (!isFsError(error)) throw error;
    }
  }

  /** The layers are still a chain, and gc has found none of them unused: then their rows were whole all the time. */
  private arePlanned(): boolean {
    const { layers, below } = this.plan;
    return layers.every((layer, index) => {
      const record = this.tables.layers.get(layer);
      return record?.droppedEpoch === undefined && record?.parent === (layers[index + 1] ?? below);
    });
  }

  /** Yields what puts one row, or a few that belong together. */
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

  /** Whether a tombstone hides something. What a live layer does not have now it may have again. */
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

  /** What a derived inode was when the lowest of the layers began to say something of it. */
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

  /** The names that the layers have together in a directory; a whiteout stays only where it hides something. */
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
