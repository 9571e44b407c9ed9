/**
 * The checkpoint: what the journal has gathered goes into the tables, and the journal starts anew.
 *
 * Order (DESIGN §5): data → commit mark → journal → tables, in durable transactions of bounded length, the last of
 * which stores `appliedSequence` → the journal restarts under a new generation. A power cut between two of the
 * transactions leaves the journal whole: replay states again what some rows state already. Each inode is stored
 * with all its rows in one transaction, so a half-done checkpoint never shows a map without its beginning.
 */
import type { LayerId } from '../base/index.ts';
import { entryIno, entryKind, NO_ENTRY } from './entry.ts';
import type { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';
import type { UpperLayer } from './upper-layer.ts';

/** Rows in one transaction: about 10 ms here, half of what a writer may keep the others waiting. */
const ROWS_PER_TRANSACTION = 5_000;

/**
 * Stores everything that changed. `last` runs inside the last transaction: a freeze swaps the layers there. Does
 * nothing when there is nothing to store and no `last`.
 */
export function checkpoint(stack: LayerStack, last?: (upper: UpperLayer) => void): void {
  const { upper } = stack;
  if (upper === undefined) return;
  // Records that left nothing to store still used inode numbers, which the layer's row must say.
  const hasNothing = stack.dirty.size === 0 && !upper.isUnmarked && upper.journal.recordCount === 0;
  if (hasNothing && last === undefined) return;
  if (upper.isUnmarked) upper.commitMark();
  storeChanges(stack, upper, ROWS_PER_TRANSACTION, last);
  // A layer that was frozen has no further use for its journal; an error here would look like one of the freeze.
  if (last === undefined && upper.journal.recordCount > 0)
    upper.journal.begin(upper.record.generation, upper.journal.lastSequence + 1);
}

/**
 * Writes every changed inode to the tables, in transactions of about `rowsMax` rows. With more than one transaction
 * everything in the journal must be under a durable commit mark; recovery, which cannot write one, stores all in one.
 */
export function storeChanges(
  stack: LayerStack,
  upper: UpperLayer,
  rowsMax: number,
  last?: (upper: UpperLayer) => void,
): void {
  const { tables } = stack;
  const inodes = [...stack.dirty];
  const { lastSequence, generation } = upper.journal;
  let record = { ...upper.record, appliedSequence: lastSequence, generation: generation + 1 };
  let next = 0;
  do {
    const first = next;
    tables.transaction(() => {
      next = first;
      let rows = 0;
      while (next < inodes.length && rows < rowsMax) rows += storeInode(stack, upper, inodes[next++]!);
      if (next < inodes.length) return;
      record = upper.putRecord(record);
      last?.(upper);
    });
  } while (next < inodes.length);
  upper.record = record;
  for (const inode of inodes) settle(upper, inode);
  stack.dirty.clear();
}

/** What was stored is no longer ahead of the tables. */
function settle(upper: UpperLayer, inode: Inode): void {
  inode.isDirty = false;
  inode.areXattrsDirty = false;
  inode.changedNames = undefined;
  inode.mapping?.extents.clearDirty();
  upper.stored.add(inode.ino);
}

/** Stores one inode with its names, map and xattrs; returns how many rows that took. */
function storeInode(stack: LayerStack, upper: UpperLayer, inode: Inode): number {
  const { tables } = stack;
  if (inode.isDead) return storeDead(stack, upper.id, inode);
  const { record } = inode;
  let rows = 1;
  tables.inodes.put(upper.id, inode.ino, record);
  if (record.nlink === 0) tables.orphans.put(upper.id, inode.ino);
  if (inode.mapping !== undefined && record.extentLayer === upper.id) {
    const { extents } = inode.mapping;
    for (const chunk of extents.dirtyChunks) {
      const runs = extents.chunkRuns(chunk);
      if (runs.length > 0) tables.extents.putChunk(upper.id, inode.ino, chunk, runs);
      else tables.extents.removeChunk(upper.id, inode.ino, chunk);
      rows += 1 + Math.floor(runs.length / 100);
    }
  }
  if (inode.areXattrsDirty && inode.xattrs !== undefined) {
    tables.xattrs.put(upper.id, inode.ino, inode.xattrs);
    rows++;
  }
  for (const [name, entry] of inode.changedNames ?? []) {
    if (entry !== NO_ENTRY) {
      tables.dentries.put(upper.id, inode.ino, name, { ino: entryIno(entry), kind: entryKind(entry) });
    } else if (stack.showsFromBelow(inode, name)) {
      tables.dentries.put(upper.id, inode.ino, name, { ino: 0 as never, kind: 0 });
    } else {
      tables.dentries.remove(upper.id, inode.ino, name);
    }
    rows++;
  }
  return rows;
}

/** A dead inode leaves nothing behind, or a tombstone where a lower layer would show it again. */
function storeDead(stack: LayerStack, layer: LayerId, inode: Inode): number {
  const { tables } = stack;
  tables.extents.removeAll(layer, inode.ino);
  tables.xattrs.remove(layer, inode.ino);
  tables.orphans.remove(layer, inode.ino);
  for (const name of [...tables.dentries.names(layer, inode.ino)])
    tables.dentries.remove(layer, inode.ino, name);
  if (stack.existsBelow(inode.ino)) {
    tables.inodes.put(layer, inode.ino, {
      ...inode.record,
      mode: 0,
      extentLayer: 0,
      xattrLayer: 0,
      blocks: 0,
    });
  } else {
    tables.inodes.remove(layer, inode.ino);
  }
  return 6;
}
