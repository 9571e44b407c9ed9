/** The row of a layer that has no inodes in rows: a directory of the host, or a union. */
import type { Clock, LayerId } from '../base/index.ts';
import type { LayerRecord, MetaTables } from '../meta/index.ts';

/** Belongs inside a transaction. */
export function insertDerivedLayer(
  tables: MetaTables,
  clock: Clock,
  parts: Pick<LayerRecord, 'root' | 'depth' | 'host' | 'components'>,
): LayerId {
  const layer = tables.allocate('nextLayer') as LayerId;
  const created = clock.now();
  tables.layers.put(layer, {
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
