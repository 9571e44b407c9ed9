/**
 * Marking: which layers the trees of the store stand on, and which blocks of which blobs the extents of those layers
 * name. A frozen layer never changes, so it is read once in a run, however often the run marks.
 */
import { type BlobId, type LayerId, RangeSet, StoreError } from '../base/index.ts';
import { isExternal } from '../blob/index.ts';
import { type LayerRecord, layersUnder, type MetaTables } from '../meta/index.ts';

export interface Marks {
  /** The layers of all trees, and all that they stand on. */
  readonly layers: ReadonlyMap<LayerId, LayerRecord>;
  /** Blocks that some extent row of these layers names. */
  readonly blocks: ReadonlyMap<BlobId, RangeSet>;
}

interface PhysicalRun {
  readonly blob: BlobId;
  readonly start: number;
  readonly end: number;
}

export class Marking {
  private readonly tables: MetaTables;
  private readonly path: string;
  private readonly frozen = new Map<LayerId, readonly PhysicalRun[]>();

  constructor(tables: MetaTables, path: string) {
    this.tables = tables;
    this.path = path;
  }

  /**
   * Marks by what is committed now, for all trees or for some of them. ERR_STORE_CORRUPT when a row that is needed is
   * damaged or missing.
   */
  mark(isWanted: (tree: string) => boolean = () => true): Marks {
    this.tables.renew();
    const layers = this.reachableLayers(isWanted);
    const blocks = new Map<BlobId, RangeSet>();
    for (const [layer, record] of layers) {
      for (const { blob, start, end } of this.runsOf(layer, record)) {
        const set = blocks.get(blob) ?? new RangeSet();
        set.add(start, end);
        blocks.set(blob, set);
      }
    }
    // A file may have ranges of a host tree that its own tree does not stand on: a copy of one that does.
    for (const blob of blocks.keys()) {
      const layer = isExternal(blob) ? this.tables.externals.get(blob)?.layer : undefined;
      const record = layer === undefined ? undefined : this.tables.layers.get(layer);
      if (layer !== undefined && record !== undefined) layers.set(layer, record);
    }
    return { layers, blocks };
  }

  private reachableLayers(isWanted: (tree: string) => boolean): Map<LayerId, LayerRecord> {
    const layers = new Map<LayerId, LayerRecord>();
    for (const [name, tree] of this.tables.trees.entries()) {
      if (!isWanted(name)) continue;
      const left: LayerId[] = [tree.layer];
      for (let layer = left.pop(); layer !== undefined; layer = left.pop()) {
        if (layers.has(layer)) continue;
        const record = this.tables.layers.get(layer);
        if (record === undefined) throw this.missing(name, layer);
        layers.set(layer, record);
        left.push(...layersUnder(record));
      }
    }
    return layers;
  }

  private missing(tree: string, layer: LayerId): StoreError {
    const problem = `tree '${tree}' stands on layer ${layer}, which is missing`;
    const hint = 'Run `ramet fsck` to see what is affected; nothing is given back until then.';
    return new StoreError('ERR_STORE_CORRUPT', 'gc', this.path, problem, hint);
  }

  private runsOf(layer: LayerId, record: LayerRecord): Iterable<PhysicalRun> {
    if (record.state !== 'frozen') return physicalRuns(this.tables, layer);
    let runs = this.frozen.get(layer);
    if (runs === undefined) {
      runs = [...physicalRuns(this.tables, layer)];
      this.frozen.set(layer, runs);
    }
    return runs;
  }
}

/** The blocks that the extents of a layer name, neighbours joined. */
function* physicalRuns(tables: MetaTables, layer: LayerId): Generator<PhysicalRun> {
  let last: { blob: BlobId; start: number; end: number } | undefined;
  for (const { runs } of tables.extents.forLayer(layer)) {
    for (const { blob, physical, count } of runs) {
      if (last !== undefined && last.blob === blob && last.end === physical) {
        last.end += count;
        continue;
      }
      if (last !== undefined) yield last;
      last = { blob, start: physical, end: physical + count };
    }
  }
  if (last !== undefined) yield last;
}
