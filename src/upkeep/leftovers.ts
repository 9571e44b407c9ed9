/** Cleans up after dead processes: journals to be stored, blobs without checksums, files that belong to nothing. */
import { FsError, isFsError, type LayerId, StoreError } from '../base/index.ts';
import { LayerLock, type StoreEngine } from '../store/index.ts';

/**
 * Opens and closes every fork whose owner died with something in its journal, which brings it into the tables, or with
 * files open that have no name, which frees them. Forks that have an owner are left to it. Returns the forks that
 * cannot be opened, each with the problem.
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

/** Also a layer that has no journal yet may have them, when its process died as it froze the one below. */
function hasOrphans({ tables }: StoreEngine, layer: LayerId): boolean {
  for (const _ino of tables.orphans.inos(layer)) return true;
  return false;
}

/** A journal that was closed is empty. */
export function hasJournal(engine: StoreEngine, layer: LayerId): boolean {
  try {
    return engine.system.statHost(Buffer.from(engine.layout.journalPath(layer)), false).size > 0;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * Computes the checksums of every frozen blob that has none yet. The process that froze it may be dead; if it lives,
 * both write the same bytes. Returns how many.
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
 * Removes blob files and journals that no row stands for: a crash came between a row and its file. A row is always
 * there before its file, so the files are listed first. Returns how many were removed.
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

/** Only a writable layer and one that is being built have a journal. */
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

function isJournalled({ tables }: StoreEngine, layer: LayerId): boolean {
  const state = tables.layers.get(layer)?.state;
  return state === 'writable' || state === 'building';
}
