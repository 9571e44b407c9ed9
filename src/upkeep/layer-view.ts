/**
 * Reads layers straight from the tables. This is for fsck, so it shares no code with the layer stack that fsck checks.
 */
import type { Ino, LayerId } from '../base/index.ts';
import { FrozenLayer, FrozenTree, type Lower, UnionLayer } from '../lower/index.ts';
import type { LayerRecord, MetaTables } from '../meta/index.ts';

type Records = ReadonlyMap<LayerId, LayerRecord>;

/**
 * The layers from `top` down as one tree; an empty tree when `top` is 0. The tree ends at a layer that is missing or
 * live.
 */
export function layerView(tables: MetaTables, records: Records, top: LayerId | 0): FrozenTree {
  const lowers: Lower[] = [];
  let next = top;
  while (next !== 0) {
    const layer = next;
    const record = records.get(layer);
    // The content of a live layer is not in the tables.
    if (record === undefined || isLiveLayer(records, layer)) break;
    if (record.components === undefined) lowers.push(new FrozenLayer(tables, layer, record));
    else {
      const components = record.components.filter((component) => isBelow(records, component, record));
      const trees = components.map((component) => layerView(tables, records, component));
      lowers.push(new UnionLayer(layer, trees, (ino) => tables.origins.get(layer, ino)));
    }
    next = isBelow(records, record.parent, record) ? record.parent : 0;
  }
  const root = top === 0 ? undefined : records.get(top)?.root;
  return new FrozenTree(lowers, root ?? (0 as Ino)); // No inode has the number 0.
}

/**
 * True if the layer of `record` may stand on `layer`, that is, has a greater depth. Pass `layers` reports a layer that
 * stands on a wrong one; the other passes need this check so that they end.
 */
function isBelow(records: Records, layer: LayerId | 0, record: LayerRecord): boolean {
  return layer !== 0 && (records.get(layer)?.depth ?? Number.POSITIVE_INFINITY) < record.depth;
}

/** True if the host holds the content of a layer, or of a component of it, so that there are no rows to check. */
export function isLiveLayer(records: Records, layer: LayerId | 0): boolean {
  const record = layer === 0 ? undefined : records.get(layer);
  if (record === undefined) return false;
  const isLive = (top: LayerId): boolean => isBelow(records, top, record) && standsOnLive(records, top);
  return record.host !== undefined || record.components?.some(isLive) === true;
}

/** True if a layer, or a layer below it, is live. */
export function standsOnLive(records: Records, layer: LayerId | 0): boolean {
  for (let next = layer; next !== 0; ) {
    if (isLiveLayer(records, next)) return true;
    const record = records.get(next);
    next = record !== undefined && isBelow(records, record.parent, record) ? record.parent : 0;
  }
  return false;
}
