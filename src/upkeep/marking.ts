/**
 * Marking: finds the layers that trees stand on, and the blocks that the extents of these layers refer to. A frozen
 * layer never changes, so one `Marking` reads it once, however often `mark` is called.
 */
import { type BlobId, type LayerId, RangeSet, StoreError } from '../base/index.ts';
import { isExternal } from '../blob/index.ts';
import { type LayerRecord, layersUnder, type MetaTables } from '../meta/index.ts';

export interface Marks {
  /** All layers that the trees stand on. */
  readonly layers: ReadonlyMap<LayerId, LayerRecord>;
  /** The blocks that the extents of these layers refer to. */
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
   * Marks the committed state, for all trees or for some of them. ERR_STORE_CORRUPT when a necessary row is damaged or
   * missing.
   */
  mark(isWanted: (tree: string) => boolean = () => true): Marks {
    this.tables.renew();
    const layers = reachableLayers(this.tables, isWanted, (name, layer) => {
      const problem = `tree '${name}' stands on layer ${layer}, which is missing`;
      const hint = 'Run `ramet fsck` to see what is affected; gc frees nothing while the layer is missing.';
      throw new StoreError('ERR_STORE_CORRUPT', 'gc', this.path, problem, hint);
    });
    const blocks = new Map<BlobId, RangeSet>();
    for (const [layer, record] of layers) {
      for (const { blob, start, end } of this.runsOf(layer, record)) {
        const set = blocks.get(blob) ?? new RangeSet();
        set.add(start, end);
        blocks.set(blob, set);
      }
    }
    // A copied file may use ranges of a host tree that its own tree does not stand on, so mark the layer of that host
    // tree too.
    for (const blob of blocks.keys()) {
      const layer = isExternal(blob) ? this.tables.externals.get(blob)?.layer : undefined;
      const record = layer === undefined ? undefined : this.tables.layers.get(layer);
      if (layer !== undefined && record !== undefined) layers.set(layer, record);
    }
    return { layers, blocks };
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

/**
 * The layers that the wanted trees stand on, by default all trees. Leaves out missing layers, and calls `onMissing` for
 * them.
 */
export function reachableLayers(
  tables: MetaTables,
  isWanted: (tree: string) => boolean = () => true,
  onMissing: (tree: string, layer: LayerId) => void = () => undefined,
): Map<LayerId, LayerRecord> {
  const layers = new Map<LayerId, LayerRecord>();
  for (const [name, tree] of tables.trees.entries()) {
    if (!isWanted(name)) continue;
    const left: LayerId[] = [tree.layer];
    for (let layer = left.pop(); layer !== undefined; layer = left.pop()) {
      if (layers.has(layer)) continue;
      const record = tables.layers.unchecked(layer);
      if (record === undefined) {
        onMissing(name, layer);
        continue;
      }
      layers.set(layer, record);
      left.push(...layersUnder(record));
    }
  }
  return layers;
}

/** The blocks that the extents of a layer refer to, with neighbouring ranges joined. */
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
