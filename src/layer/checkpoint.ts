/**
 * The checkpoint: stores the changes since the last one in the tables and restarts the journal.
 *
 * Order: data → commit mark → journal → tables, in durable transactions of limited length, the last of which stores
 * `appliedSequence` → the journal restarts under a new generation. A power cut between two of the transactions leaves
 * the journal whole, and replay then applies changes again that some rows contain already. One transaction stores an
 * inode's record, map and xattrs, so a half-done checkpoint never shows a part of a map. The names of a directory may
 * take several transactions, since replay puts or removes each name again.
 *
 * The checkpoint asks the lower layers before the first transaction, because all other writers of the store wait during
 * a transaction, and a lower layer may be a directory of the host, which may take long to answer.
 */
import type { LayerId, Name } from '../base/index.ts';
import { entryIno, entryKind, NO_ENTRY } from '../lower/index.ts';
import type { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';
import type { UpperLayer } from './upper-layer.ts';

/**
 * Stores everything that changed. `last` runs inside the last transaction, where a freeze swaps the layers. Does
 * nothing if there is nothing to store and no `last`.
 */
export function checkpoint(stack: LayerStack, last?: (upper: UpperLayer) => void): void {
  const { upper } = stack;
  if (upper === undefined) return;
  // Records that left nothing to store may have used inode numbers, which the layer's row must account for.
  const hasNothing = stack.dirty.size === 0 && !upper.isUnmarked && upper.journal.recordCount === 0;
  if (hasNothing && last === undefined) return;
  if (upper.isUnmarked) upper.commitMark();
  storeChanges(stack, upper, last);
  // After a freeze the layer no longer needs its journal, and an error here would look as if the freeze had failed.
  if (last === undefined && upper.journal.recordCount > 0)
    upper.journal.begin(upper.record.generation, upper.journal.lastSequence + 1);
}

/**
 * Writes every changed inode to the tables, in as many transactions as it takes. A durable commit mark must cover the
 * whole journal; otherwise a power cut between two transactions leaves rows from records that replay discards.
 */
export function storeChanges(stack: LayerStack, upper: UpperLayer, last?: (upper: UpperLayer) => void): void {
  const { tables } = stack;
  const inodes = [...stack.dirty];
  const { lastSequence, generation } = upper.journal;
  let record = { ...upper.record, appliedSequence: lastSequence, generation: generation + 1 };
  if (stack.chain.derived !== undefined) stack.origins.ask(stack.chain.derived, inodes);
  const rows = storeInodes(stack, upper.id, inodes, hiddenNames(stack, inodes));
  let isStored = false;
  while (!isStored) {
    tables.slice((isSpent) => {
      do isStored = rows.next().done === true;
      while (!isStored && !isSpent());
      if (!isStored) return;
      record = upper.putRecord(record);
      last?.(upper);
    });
  }
  upper.record = record;
  for (const inode of inodes) settle(upper, inode);
  stack.dirty.clear();
  stack.origins.clear();
  stack.externals.clear();
}

/** Notes that the tables have the inode as it is in memory. */
function settle(upper: UpperLayer, inode: Inode): void {
  inode.isDirty = false;
  inode.areXattrsDirty = false;
  inode.isUnrecorded = false;
  inode.changedNames = undefined;
  inode.mapping?.extents.clearDirty();
  upper.stored.add(inode.ino);
}

/** The removed names of each directory that a lower layer would show again. */
type HiddenNames = ReadonlyMap<Inode, ReadonlySet<Name>>;

function hiddenNames(stack: LayerStack, inodes: readonly Inode[]): HiddenNames {
  const hidden = new Map<Inode, Set<Name>>();
  for (const inode of inodes) {
    if (inode.isDead || inode.changedNames === undefined) continue;
    const names = new Set<Name>();
    for (const [name, entry] of inode.changedNames)
      if (entry === NO_ENTRY && stack.showsFromBelow(inode, name)) names.add(name);
    if (names.size > 0) hidden.set(inode, names);
  }
  return hidden;
}

/** Stores inodes. A transaction may end at each yield. */
function* storeInodes(
  stack: LayerStack,
  layer: LayerId,
  inodes: readonly Inode[],
  hidden: HiddenNames,
): Generator<void> {
  yield* stack.externals.store();
  for (const inode of inodes) {
    if (inode.isDead) yield* storeDead(stack, layer, inode);
    else {
      storeLiving(stack, layer, inode);
      yield;
      yield* storeNames(stack, layer, inode, hidden.get(inode));
    }
  }
}

/** Stores the record of an inode, its map and its xattrs. */
function storeLiving(stack: LayerStack, layer: LayerId, inode: Inode): void {
  const { tables } = stack;
  const { record } = inode;
  tables.inodes.put(layer, inode.ino, record);
  storeOrigin(stack, layer, inode);
  if (record.nlink === 0) tables.orphans.put(layer, inode.ino);
  if (inode.mapping !== undefined && record.extentLayer === layer) {
    const { extents } = inode.mapping;
    for (const chunk of extents.dirtyChunks) {
      const runs = extents.chunkRuns(chunk);
      if (runs.length > 0) tables.extents.putChunk(layer, inode.ino, chunk, runs);
      else tables.extents.removeChunk(layer, inode.ino, chunk);
    }
  }
  if (inode.areXattrsDirty && inode.xattrs !== undefined) tables.xattrs.put(layer, inode.ino, inode.xattrs);
}

function storeOrigin({ chain, origins, tables }: LayerStack, layer: LayerId, inode: Inode): void {
  if (chain.derived !== undefined) origins.store(chain.derived, tables, layer, inode);
}

/** Stores the changed names of a directory; there may be tens of thousands. */
function* storeNames(
  stack: LayerStack,
  layer: LayerId,
  inode: Inode,
  hidden: ReadonlySet<Name> | undefined,
): Generator<void> {
  const { dentries } = stack.tables;
  for (const [name, entry] of inode.changedNames ?? []) {
    if (entry !== NO_ENTRY)
      dentries.put(layer, inode.ino, name, { ino: entryIno(entry), kind: entryKind(entry) });
    else if (hidden?.has(name) === true) dentries.put(layer, inode.ino, name, { ino: 0 as never, kind: 0 });
    else dentries.remove(layer, inode.ino, name);
    yield;
  }
}

/** A dead inode leaves nothing behind, or a tombstone where a lower layer would show it again. */
function* storeDead(stack: LayerStack, layer: LayerId, inode: Inode): Generator<void> {
  const { tables } = stack;
  tables.extents.removeAll(layer, inode.ino);
  tables.xattrs.remove(layer, inode.ino);
  tables.orphans.remove(layer, inode.ino);
  storeOrigin(stack, layer, inode);
  if (stack.existsBelow(inode.ino)) {
    const tombstone = {
      ...inode.record,
      mode: 0,
      extentLayer: 0 as const,
      xattrLayer: 0 as const,
      blocks: 0,
    };
    tables.inodes.put(layer, inode.ino, tombstone);
  } else {
    tables.inodes.remove(layer, inode.ino);
  }
  yield;
  for (const name of tables.dentries.names(layer, inode.ino)) {
    tables.dentries.remove(layer, inode.ino, name);
    yield;
  }
}
