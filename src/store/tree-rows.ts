/**
 * The rows behind forks and snapshots: what a fork, a freeze and a snapshot write to the tables. Each function belongs
 * inside a transaction of its caller, so that an operation is in the tables wholly or not at all.
 */
import {
  type BlobId,
  type Clock,
  FsError,
  type Ino,
  type LayerId,
  nameToString,
  StoreError,
} from '../base/index.ts';
import type { UpperLayer } from '../layer/index.ts';
import {
  type HostSource,
  type InodeRecord,
  isSameDirectory,
  type LayerRecord,
  type MetaTables,
  newInodeRecord,
} from '../meta/index.ts';
import { insertDerivedLayer } from './derived-rows.ts';
import type { TreeInfo } from './tree.ts';
import { unionOf } from './union-rows.ts';

/** Inode numbers given to a new fork in the transaction that makes it: most forks never need more. */
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

  /** ERR_STORE_CORRUPT when a layer that something stands on is missing. */
  layer(layer: LayerId): LayerRecord {
    const record = this.tables.layers.get(layer);
    if (record !== undefined) return record;
    const hint = 'Run `ramet fsck` to see what is affected.';
    throw new StoreError('ERR_STORE_CORRUPT', 'open', this.directory, `layer ${layer} is missing`, hint);
  }

  /** EEXIST when there is a tree of this name. */
  requireFree(name: string, operation: string): void {
    if (this.tables.trees.get(name) === undefined) return;
    throw new FsError('EEXIST', { syscall: operation, path: name, note: 'drop it, or choose another name' });
  }

  /** A new fork over `parent`; 0 for none. */
  insertFork(name: string, root: Ino, parent: LayerId | 0, source: string): LayerId {
    const layer = this.insertUpper(root, parent);
    this.insertTree(name, 'fork', layer, root, source);
    return layer;
  }

  /** A fork with nothing under it: a root directory of its own. */
  insertEmptyFork(name: string): void {
    const root = this.tables.allocate('nextIno') as Ino;
    const layer = this.insertFork(name, root, 0, '');
    this.tables.inodes.put(layer, root, this.emptyRoot(root));
  }

  /** A new fork over a directory of the host. */
  insertHostFork(name: string, source: HostSource, root: Ino): void {
    this.insertFork(name, root, this.hostLayer(source, root), nameToString(source.path));
  }

  /** A new fork over several trees, given the uppermost layer of each, the uppermost tree first. EINVAL. */
  insertUnionFork(name: string, tops: readonly LayerId[], source: string): void {
    const layer = unionOf(this.tables, this.clock, tops, name);
    this.insertFork(name, this.layer(layer).root, layer, source);
  }

  /** The layer that is a directory of the host at one place: one for all that stands on it. */
  hostLayer(source: HostSource, root: Ino): LayerId {
    const { tables } = this;
    for (const known of tables.hosts.get(source)) {
      const record = tables.layers.get(known);
      if (record?.host === undefined || record.droppedEpoch !== undefined) continue;
      if (record.host.path === source.path && isSameDirectory(record.host, source)) return known;
    }
    const layer = insertDerivedLayer(tables, this.clock, { root, depth: 0, host: source });
    tables.hosts.add(source, layer);
    return layer;
  }

  insertSnapshot(name: string, layer: LayerId, root: Ino, source: string): void {
    this.insertTree(name, 'snapshot', layer, root, source);
  }

  /** A fork becomes another tree, under its name and id: a fresh layer over `parent`. */
  replaceFork({ name, ...tree }: TreeInfo, root: Ino, parent: LayerId): void {
    const layer = this.insertUpper(root, parent);
    this.tables.trees.put(name, { ...tree, layer, root });
  }

  private insertTree(name: string, kind: TreeInfo['kind'], layer: LayerId, root: Ino, source: string): void {
    const id = this.tables.allocate('nextTree');
    this.tables.trees.put(name, { kind, layer, root, created: this.clock.now(), source, id });
  }

  /** A new writable layer and its blob. A range of inode numbers may be handed on from the layer below. */
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

  /** Freezes `upper`, whose changes are stored, and puts a fresh layer over it; returns the new one. */
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
    // Files that are open without a name belong to the fork, so it is the new layer that frees them.
    for (const ino of tables.orphans.inos(upper.id)) tables.orphans.put(next, ino);
    return next;
  }

  private emptyRoot(root: Ino): InodeRecord {
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const record = newInodeRecord({ mode: 0o040755, ...owner, nlink: 2 }, this.clock.now());
    return { ...record, parent: root };
  }
}
