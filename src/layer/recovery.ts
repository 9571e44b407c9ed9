/**
 * Recovery: opens the upper layer of a tree whose last owner did not close it. It replays the journal into memory,
 * frees inodes without names, and stores the result with a checkpoint.
 *
 * After the death of a process the journal has every acknowledged record; after a power cut, it has those up to the
 * last commit mark. Either way the result is a state that the tree really had.
 */
import {
  BLOCK_SIZE,
  type BlockIndex,
  blocksFor,
  DecodeError,
  type Ino,
  kindOfMode,
  S_IFREG,
  StoreError,
} from '../base/index.ts';
import { entryOf, NO_ENTRY } from '../lower/index.ts';
import { type InodeRecord, newInodeRecord } from '../meta/index.ts';
import { storeChanges } from './checkpoint.ts';
import { decodeEffects, type EffectVisitor } from './effect-format.ts';
import { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';
import type { UpperLayer } from './upper-layer.ts';

const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** Brings the upper layer of a freshly opened stack to its last acknowledged state. */
export function recover(stack: LayerStack): void {
  const upper = stack.writable();
  const { journal, record } = upper;
  if (journal.isFresh) {
    journal.begin(record.generation, record.appliedSequence + 1);
    // There may be orphans all the same: a freeze hands them on to the next layer, which then has no journal yet.
    freeOrphans(stack, upper);
    return;
  }
  upper.wasUnclean = true;
  const visitor = replayer(stack, upper);
  stack.isReplaying = true;
  journal.replay(
    (sequence, payload) => apply(journal.path, sequence, payload, visitor),
    record.appliedSequence,
  );
  freeOrphans(stack, upper);
  upper.syncFound();
  journal.mark();
  journal.sync();
  storeChanges(stack, upper);
  stack.isReplaying = false;
  journal.begin(upper.record.generation, Math.max(journal.lastSequence, record.appliedSequence) + 1);
  zeroTails(stack, upper);
}

/** Applies one record. ERR_STORE_CORRUPT for a complete record of a form that this program never writes. */
function apply(path: string, sequence: number, payload: Buffer, visitor: EffectVisitor): void {
  try {
    decodeEffects(payload, visitor);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const problem = `record ${sequence} of the journal is damaged: ${error.message}`;
    const hint = 'The fork can be dropped. The trees that it came from are not affected.';
    throw new StoreError('ERR_STORE_CORRUPT', 'open', path, problem, hint);
  }
}

/** Like `recover`, for a private copy of the tables and the journal. Does not touch the layer's blob in the store. */
export function recoverCopy(stack: LayerStack): void {
  const upper = stack.writable();
  const { journal, record } = upper;
  if (journal.isFresh) return;
  const visitor = replayer(stack, upper);
  stack.isReplaying = true;
  journal.replay((_sequence, payload) => decodeEffects(payload, visitor), record.appliedSequence);
  storeChanges(stack, upper);
  stack.isReplaying = false;
}

function replayer(stack: LayerStack, upper: UpperLayer): EffectVisitor {
  return {
    origin(ino, origin) {
      const { derived } = stack.chain;
      if (derived !== undefined) stack.origins.keep(derived, ino, Buffer.from(origin));
    },
    external: (blob, external) => stack.externals.keep(blob, external),
    runs(ino, runs) {
      const inode = ghost(stack, ino);
      stack.installRuns(inode, runs);
      inode.record = { ...inode.record, extentLayer: upper.id };
      stack.markDirty(inode);
    },
    inode(ino, record) {
      const inode = ghost(stack, ino);
      inode.isUnrecorded = false;
      inode.record = { ...record, blocks: blocksOf(stack, inode, record) };
      upper.noteIno(ino);
      stack.markDirty(inode);
    },
    name(directory, name, ino, kind) {
      stack.applyName(ghost(stack, directory), name, ino === 0 ? NO_ENTRY : entryOf(ino, kind));
    },
    xattrs(ino, xattrs) {
      const inode = ghost(stack, ino);
      inode.xattrs = xattrs;
      inode.areXattrsDirty = true;
      stack.markDirty(inode);
    },
  };
}

/** How many blocks a file has. For a file of a live layer this is the record's count; the host file may be gone. */
function blocksOf(stack: LayerStack, inode: Inode, { extentLayer, blocks }: InodeRecord): number {
  if (extentLayer === 0) return 0;
  return extentLayer === stack.chain.live?.id ? blocks : stack.mappingOf(inode).extents.blockCount;
}

/**
 * The inode that a record names. Returns a placeholder if the inode does not exist yet, or no longer because a part of
 * a checkpoint was stored.
 */
function ghost(stack: LayerStack, ino: Ino): Inode {
  const known = stack.inodes.get(ino);
  if (known !== undefined) return known;
  let inode: Inode;
  try {
    inode = stack.inode(ino);
  } catch {
    inode = new Inode(ino, UNKNOWN);
    stack.inodes.set(ino, inode);
  }
  return inode;
}

const UNKNOWN = newInodeRecord({ mode: S_IFREG, uid: 0, gid: 0, nlink: 0 }, { seconds: 0, nanoseconds: 0 });

/** Frees inodes that were open without a name when the owner died. */
function freeOrphans(stack: LayerStack, upper: UpperLayer): void {
  for (const inode of [...stack.dirty]) stack.releaseIfUnused(inode);
  for (const ino of [...stack.tables.orphans.inos(upper.id)]) {
    if (stack.inodes.get(ino)?.isDead !== false) stack.releaseIfUnused(ghost(stack, ino));
  }
}

/**
 * A write into the last block of a file may have reached the disk although its record did not. Bytes after the end of
 * the file must be zero, or a later growth would show them.
 */
function zeroTails(stack: LayerStack, upper: UpperLayer): void {
  if (!stack.blobs.exists(upper.activeId)) return;
  const active = upper.activeBlob();
  for (const ino of upper.stored) {
    const record = stack.tables.inodes.get(upper.id, ino);
    if (record === undefined || kindOfMode(record.mode) !== kindOfMode(S_IFREG)) continue;
    const within = record.size % BLOCK_SIZE;
    if (within === 0 || record.extentLayer !== upper.id) continue;
    const { extents } = stack.mappingOf(stack.inode(ino));
    extents.locate(blocksFor(record.size) - 1);
    const physical: BlockIndex = extents.foundPhysical;
    if (extents.foundBlob !== active.id || !active.isExclusive(physical)) continue;
    active.write(physical * BLOCK_SIZE + within, ZEROS, 0, BLOCK_SIZE - within);
  }
}
