/**
 * Undropping blocks. Gc drops a block when no row names it, and frees it once no process is left that may still know
 * it. A block that only a journal names looks unused to gc. So undrop it before handing it on, and before storing a row
 * that names it.
 */
import { type BlobId, type LayerId, RangeSet } from '../base/index.ts';
import type { MetaTables } from '../meta/index.ts';

/** Blocks of a blob. */
export interface NamedBlocks {
  readonly blob: BlobId;
  readonly physical: number;
  readonly count: number;
}

/**
 * Undrops these blocks. Costs one lookup in the table for each blob, which mostly finds nothing. Blob 0, which stands
 * for holes, is never dropped.
 */
export function undrop(tables: MetaTables, blocks: Iterable<NamedBlocks>): void {
  tables.renew();
  /** The dropped blocks of the blobs seen so far. */
  const dropped = new Map<BlobId, RangeSet | 'all' | undefined>();
  const hit = new Set<BlobId>();
  for (const { blob, physical, count } of blocks) {
    if (!dropped.has(blob)) dropped.set(blob, blob === 0 ? undefined : droppedOf(tables, blob));
    const set = dropped.get(blob);
    if (set === 'all' || set?.intersects(physical, physical + count) === true) hit.add(blob);
  }
  if (hit.size === 0) return;
  tables.transaction(() => {
    for (const blob of hit) tables.dropped.remove(blob);
  });
}

function droppedOf(tables: MetaTables, blob: BlobId): RangeSet | 'all' | undefined {
  const record = tables.dropped.get(blob);
  if (record === undefined) return undefined;
  if (record.ranges.length === 0) return 'all';
  const set = new RangeSet();
  for (const { start, end } of record.ranges) set.add(start, end);
  return set;
}

function hasDropped(tables: MetaTables): boolean {
  // Leaving the loop closes the scan.
  for (const _row of tables.dropped.entries()) return true;
  return false;
}

/** Like `undrop`, for all blocks that the rows of a layer name. */
export function undropLayer(tables: MetaTables, layer: LayerId): void {
  if (!hasDropped(tables)) return;
  undrop(tables, blocksOfLayer(tables, layer));
}

function* blocksOfLayer(tables: MetaTables, layer: LayerId): Generator<NamedBlocks> {
  for (const { runs } of tables.extents.forLayer(layer)) yield* runs;
}
