/**
 * Undropping blocks. Gc drops a block when no row names it, and frees the block once no process is left that may still
 * know it. A block that only a journal names looks unused to gc. So undrop such a block before another tree gets it,
 * when a fork that names it is opened, and before the lease of the fork's process moves up.
 */
import { type BlobId, type LayerId, RangeSet } from '../base/index.ts';
import type { MetaTables } from '../meta/index.ts';

/** The `count` blocks of a blob from block `physical` on. */
export interface NamedBlocks {
  readonly blob: BlobId;
  readonly physical: number;
  readonly count: number;
}

/**
 * Undrops these blocks, and with them all dropped blocks of the same blobs; the next gc drops again what is unused.
 * Costs one lookup in the table for each blob, which mostly finds nothing. Blob 0, which stands for holes, is never
 * dropped.
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
  // The return also closes the scan.
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
