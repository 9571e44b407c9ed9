/** Cleans up after dead processes: stores their journals, computes missing checksums, removes files without rows. */
import { FsError, isFsError, type LayerId, StoreError } from '../base/index.ts';
import { LayerLock, type StoreEngine } from '../store/index.ts';

/**
 * Opens and closes every fork whose owner died and left something. Opening stores the changes of its journal in the
 * tables, and frees files that were open without a name. Skips forks with a living owner. Returns the forks that cannot
 * be opened, each with the problem.
 */
export function storeDeadJournals(engine: StoreEngine): string[] {
  const unreadable: string[] = [];
  for (const { name, kind, layer } of engine.list()) {
    if (kind !== 'fork' || engine.openTreeOf(name) !== undefined) continue;
    if (!hasJournal(engine, layer) && !hasOrphans(engine, layer)) continue;
    try {
      engine.openTree(name, false).close();
    } catch (error) {
      if (isFsError(error, 'EBUSY') || isFsError(error, 'ENOENT')) continue;
      if (!(error instanceof FsError || error instanceof StoreError)) throw error;
      unreadable.push(`${name}: ${error.message}`);
    }
  }
  return unreadable;
}

/**
 * Whether a layer lists files without a name. A layer without a journal may list some too, if its process died while it
 * froze the layer below.
 */
function hasOrphans({ tables }: StoreEngine, layer: LayerId): boolean {
  for (const _ino of tables.orphans.inos(layer)) return true;
  return false;
}

/** Whether a journal holds anything: the journal of a fork that was closed is empty. */
export function hasJournal(engine: StoreEngine, layer: LayerId): boolean {
  try {
    return engine.system.statHost(Buffer.from(engine.layout.journalPath(layer)), false).size > 0;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * Computes missing checksums of frozen blobs. The process that froze a blob may be dead; if it is alive, both processes
 * write the same bytes. Returns the number of blobs that got checksums.
 */
export function sealLeftovers(engine: StoreEngine): number {
  const { sealer, tables } = engine;
  const before = unsealedCount(engine);
  sealer.finish();
  for (const [blob, { state, layer }] of [...tables.blobs.entries()]) {
    if (state === 'frozen' && tables.layers.get(layer) !== undefined) sealer.add(layer, [blob]);
  }
  sealer.finish();
  return before - unsealedCount(engine);
}

function unsealedCount({ tables }: StoreEngine): number {
  let count = 0;
  for (const [, { state }] of tables.blobs.entries()) if (state === 'frozen') count++;
  return count;
}

/**
 * Removes blob files and journals without a row, which a crash left behind. A row is always stored before its file is
 * made. So list the files first and read the rows afterwards: a listed file without a row is left over. Returns the
 * number of removed files.
 */
export function sweepFiles(engine: StoreEngine): number {
  return sweepBlobs(engine) + sweepJournals(engine);
}

function sweepBlobs({ blobs, tables }: StoreEngine): number {
  const files = blobs.list();
  tables.renew();
  let removed = 0;
  for (const blob of files) {
    if (tables.blobs.get(blob) !== undefined) continue;
    blobs.unlink(blob);
    removed++;
  }
  return removed;
}

function sweepJournals(engine: StoreEngine): number {
  const { system, layout, tables } = engine;
  let removed = 0;
  for (const { name } of system.readHostDirectory(Buffer.from(layout.journalsDirectory))) {
    if (!/^[1-9][0-9]*$/.test(name)) continue;
    const layer = Number(name) as LayerId; // Journals are named by their layer's number.
    if (isJournalled(engine, layer)) continue;
    let lock: LayerLock | undefined;
    try {
      lock = LayerLock.takeExisting(system, layout.journalPath(layer));
    } catch (error) {
      if (isFsError(error, 'EBUSY')) continue;
      throw error;
    }
    tables.renew();
    if (isJournalled(engine, layer)) lock?.abandon();
    else {
      lock?.release();
      removed++;
    }
  }
  return removed;
}

/** True if the layer has a journal: only layers in the states `writable` and `building` have one. */
function isJournalled({ tables }: StoreEngine, layer: LayerId): boolean {
  const state = tables.layers.get(layer)?.state;
  return state === 'writable' || state === 'building';
}
