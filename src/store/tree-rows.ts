/**
 * The rows of trees and layers: what a fork, a freeze and a snapshot write to the tables. Call each method inside a
 * transaction, so that an operation is in the tables as a whole or not at all.
 */
import {
  assert,
  type BlobId,
  type Clock,
  FsError,
  type Ino,
  type LayerId,
  nameToString,
  StoreError,
} from '../base/index.ts';
import type { UpperLayer } from '../layer/index.ts';
import { rootOfUnion } from '../lower/index.ts';
import {
  type HostSource,
  isSameDirectory,
  type LayerRecord,
  type MetaTables,
  newInodeRecord,
} from '../meta/index.ts';
import { requireLowerCount } from './lowers.ts';
import type { TreeInfo } from './tree.ts';

/** How many inode numbers a new fork gets in the transaction that makes the fork. Most forks never need more. */
const FORK_INODE_RANGE = 4096;

interface InodeRange {
  readonly next: number;
  readonly end: number;
}

export class TreeRows {
  private readonly tables: MetaTables;
  private readonly clock: Clock;
  private readonly directory: string;

  constructor(tables: MetaTables, clock: Clock, directory: string) {
    this.tables = tables;
    this.clock = clock;
    this.directory = directory;
  }

  /** The record of a layer that something stands on. ERR_STORE_CORRUPT if it is missing. */
  layer(layer: LayerId): LayerRecord {
    const record = this.tables.layers.get(layer);
    if (record !== undefined) return record;
    const hint = 'Run `ramet fsck` to see what is affected.';
    throw new StoreError('ERR_STORE_CORRUPT', 'open', this.directory, `layer ${layer} is missing`, hint);
  }

  /**
   * The frozen layer that forks, snapshots, unions and rollbacks of a tree stand on. A fork must have been frozen
   * before. Call it in the same transaction that puts something on the layer: between two transactions another process
   * may drop the tree and collect its layers, or flatten them. ENOENT if the tree was dropped.
   */
  frozenTop({ name, id }: TreeInfo, operation: string): LayerId {
    const now = this.tables.trees.get(name);
    if (now?.id !== id)
      throw new FsError('ENOENT', { syscall: operation, path: name, note: 'it was dropped meanwhile' });
    const layer = now.kind === 'snapshot' ? now.layer : this.tables.layers.get(now.layer)?.parent;
    // A fork that was just frozen has an empty upper layer over what it shows.
    assert(layer !== undefined && layer !== 0, 'a fork that was frozen stands on a layer');
    return layer;
  }

  /** The layers from `top` down to the base. A missing layer ends the chain. */
  chainOf(top: LayerId | 0): LayerId[] {
    const chain: LayerId[] = [];
    for (let layer = top; layer !== 0; layer = this.tables.layers.get(layer)?.parent ?? 0) chain.push(layer);
    return chain;
  }

  /** Throws EEXIST if there is a tree of this name. */
  requireFree(name: string, operation: string): void {
    if (this.tables.trees.get(name) === undefined) return;
    throw new FsError('EEXIST', { syscall: operation, path: name, note: 'drop it, or choose another name' });
  }

  /** Adds a fork over `parent` (0 for none). Returns its layer. */
  insertFork(name: string, root: Ino, parent: LayerId | 0, source: string): LayerId {
    const layer = this.insertUpper(root, parent);
    this.insertTree(name, 'fork', layer, root, source);
    return layer;
  }

  /** Adds a fork with nothing under it and an empty root directory. */
  insertEmptyFork(name: string): void {
    const root = this.tables.allocate('nextIno') as Ino;
    const layer = this.insertFork(name, root, 0, '');
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const record = newInodeRecord({ mode: 0o040755, ...owner, nlink: 2 }, this.clock.now());
    this.tables.inodes.put(layer, root, { ...record, parent: root });
  }

  /** Adds a fork over a directory of the host. */
  insertHostFork(name: string, source: HostSource, root: Ino): void {
    this.insertFork(name, root, this.hostLayer(source, root), nameToString(source.path));
  }

  /** Adds a fork over several trees. `tops` has the uppermost layer of each, uppermost tree first. EINVAL. */
  insertUnionFork(name: string, tops: readonly LayerId[], source: string): void {
    const layer = this.unionOf(tops, name);
    this.insertFork(name, this.layer(layer).root, layer, source);
  }

  /** The layer for a directory of the host, which all its forks share. Adds one if there is none. */
  hostLayer(source: HostSource, root: Ino): LayerId {
    const { tables } = this;
    for (const known of tables.hosts.get(source)) {
      const record = tables.layers.get(known);
      if (record?.host === undefined || record.droppedEpoch !== undefined) continue;
      if (record.host.path === source.path && isSameDirectory(record.host, source)) return known;
    }
    const layer = this.insertDerived({ root, depth: 0, host: source });
    tables.hosts.add(source, layer);
    return layer;
  }

  /**
   * The layer that shows the trees with these uppermost layers as one, uppermost tree first. Adds one if there is none.
   * EINVAL for more trees than a union may have.
   */
  private unionOf(tops: readonly LayerId[], name: string): LayerId {
    const { layers } = this.tables;
    // The components of a union take its place in a new union. A tree that comes again further down adds nothing.
    const components = [...new Set(tops.flatMap((top) => layers.get(top)?.components ?? [top]))];
    requireLowerCount(components.length, name);
    const [first] = components;
    if (first !== undefined && components.length === 1) return first;
    for (const [layer, { components: others, droppedEpoch }] of layers.entries()) {
      if (others?.length !== components.length || droppedEpoch !== undefined) continue;
      if (others.every((other, index) => other === components[index])) return layer;
    }
    const records = components.map((component) => layers.get(component)!);
    const root = rootOfUnion(records[0]!.root);
    return this.insertDerived({
      root,
      depth: 1 + Math.max(...records.map(({ depth }) => depth)),
      components,
    });
  }

  /** Adds a layer whose inodes are not in rows: a directory of the host, or a union. */
  private insertDerived(parts: Pick<LayerRecord, 'root' | 'depth' | 'host' | 'components'>): LayerId {
    const layer = this.tables.allocate('nextLayer') as LayerId;
    const created = this.clock.now();
    this.tables.layers.put(layer, {
      ...parts,
      state: 'frozen',
      parent: 0,
      activeBlob: 0,
      inoNext: 0,
      inoEnd: 0,
      generation: 1,
      appliedSequence: 0,
      created,
      frozenAt: created,
      unsealedBlobs: [],
    });
    return layer;
  }

  insertSnapshot(name: string, layer: LayerId, root: Ino, source: string): void {
    this.insertTree(name, 'snapshot', layer, root, source);
  }

  /** Makes a fork show another tree: gives it a new layer over `parent`. The fork keeps its name and id. */
  replaceFork({ name, ...tree }: TreeInfo, root: Ino, parent: LayerId): void {
    const layer = this.insertUpper(root, parent);
    this.tables.trees.put(name, { ...tree, layer, root });
  }

  private insertTree(name: string, kind: TreeInfo['kind'], layer: LayerId, root: Ino, source: string): void {
    const id = this.tables.allocate('nextTree');
    this.tables.trees.put(name, { kind, layer, root, created: this.clock.now(), source, id });
  }

  /** Adds a writable layer and its blob. `range` has the inode numbers that the layer below did not use. */
  private insertUpper(root: Ino, parent: LayerId | 0, range?: InodeRange): LayerId {
    const { tables } = this;
    const layer = tables.allocate('nextLayer') as LayerId;
    const blob = tables.allocate('nextBlob') as BlobId;
    const first = range?.next ?? tables.allocate('nextIno', FORK_INODE_RANGE);
    const created = this.clock.now();
    tables.layers.put(layer, {
      state: 'writable',
      parent,
      root,
      activeBlob: blob,
      inoNext: first,
      inoEnd: range?.end ?? first + FORK_INODE_RANGE,
      generation: 1,
      appliedSequence: 0,
      depth: parent === 0 ? 0 : this.layer(parent).depth + 1,
      created,
      unsealedBlobs: [],
    });
    const empty = { lengthBlocks: 0, lengthBytes: 0 };
    tables.blobs.put(blob, { kind: 'active', state: 'active', layer, ...empty, created });
    return layer;
  }

  /** Freezes `upper`, whose changes must be stored, and returns a new layer over it. */
  freeze(info: TreeInfo, upper: UpperLayer): LayerId {
    const { tables } = this;
    const stored = this.layer(upper.id);
    const length = upper.freezeActive();
    const blob = tables.blobs.get(upper.activeId);
    const next = this.insertUpper(stored.root, upper.id, { next: stored.inoNext, end: stored.inoEnd });
    if (length !== undefined && blob !== undefined) {
      tables.blobs.put(upper.activeId, { ...blob, ...length, state: 'frozen' });
    } else tables.blobs.remove(upper.activeId);
    tables.layers.put(upper.id, {
      ...stored,
      state: 'frozen',
      frozenAt: this.clock.now(),
      activeBlob: 0,
      unsealedBlobs: length === undefined ? [] : [upper.activeId],
    });
    const { name, ...tree } = info;
    tables.trees.put(name, { ...tree, layer: next });
    // Files that are open without a name belong to the fork, so from now on the new layer has to free them.
    for (const ino of tables.orphans.inos(upper.id)) tables.orphans.put(next, ino);
    return next;
  }
}
