/**
 * FIDEDUPERANGE: a range of one file takes over the blocks of an equal range of another file, by the rules of
 * ioctl_fideduperange(2) and of Linux's fs/remap_range.c. Neither times nor readable bytes change. Ranges whose bytes
 * are in a host directory are never shared, on either side, because the host may change those bytes, and shared bytes
 * must not change.
 */
import { BLOCK_SIZE, type BlockIndex, blocksFor, FsError, type Run } from '../base/index.ts';
import { type BlockRange, type Inode, undrop } from '../layer/index.ts';
import type { Caller } from './caller.ts';
import type { TreeContext } from './context.ts';
import { requireFile, type SharedFile } from './file-data.ts';
import type { OpenFile } from './open-file.ts';
import { isOwner, mayAccess, W_OK } from './permission.ts';

/** Bytes compared at once. */
const PIECE_BYTES = 64 * BLOCK_SIZE;
const ours = Buffer.allocUnsafeSlow(PIECE_BYTES);
const theirs = Buffer.allocUnsafeSlow(PIECE_BYTES);

export interface SameExtent {
  /** False: the bytes differ (FILE_DEDUPE_RANGE_DIFFERS), and nothing was done. */
  readonly isSame: boolean;
  /** The length of the range, cut to whole blocks unless it ends where both files end. */
  readonly bytesDeduped: number;
}

/** A place in a file that is to take over the source's blocks. */
export interface SameTarget {
  readonly file: OpenFile;
  readonly position: number;
}

const DIFFERS: SameExtent = { isSame: false, bytesDeduped: 0 };

/**
 * Returns for each target the outcome, or the error: EISDIR, EINVAL (not a regular file; a position that is not a
 * multiple of 4,096; a range beyond the end of a file; overlapping ranges of one file), EPERM (not open for writing,
 * and the caller neither owns nor may write the file), EXDEV (unfrozen blocks of another fork), EIO, ENOSPC. Throws
 * where the source is wrong: EISDIR, EINVAL, EXDEV.
 */
export function extentSame(
  context: TreeContext,
  caller: Caller,
  source: SharedFile,
  sourcePosition: number,
  length: number,
  targets: readonly SameTarget[],
): (SameExtent | FsError)[] {
  requireFile(source.inode);
  if (source.context.stack.inodes.get(source.inode.ino) !== source.inode) throw new FsError('EXDEV');
  return targets.map((target) => {
    try {
      return sameAt(context, caller, source, sourcePosition, length, target);
    } catch (error) {
      if (error instanceof FsError) return error;
      throw error;
    }
  });
}

function sameAt(
  context: TreeContext,
  caller: Caller,
  source: SharedFile,
  sourcePosition: number,
  length: number,
  { file, position: targetPosition }: SameTarget,
): SameExtent {
  const { stack } = context;
  const { context: origin, inode: from } = source;
  const to = file.requireOpen();
  requireFile(to);
  if (!file.canWrite && !isOwner(caller, to) && !mayAccess(context, caller, to, W_OK))
    throw new FsError('EPERM');
  if (origin.stack.tables !== stack.tables) throw new FsError('EXDEV');
  if (length === 0) return { isSame: true, bytesDeduped: 0 };
  origin.stack.refresh(from);
  stack.refresh(to);
  const bytes = lengthToShare(from, sourcePosition, length, to, targetPosition);
  const [ourMap, theirMap] = [stack.mappingOf(to), origin.stack.mappingOf(from)];
  for (let done = 0; done < bytes; done += PIECE_BYTES) {
    const piece = Math.min(PIECE_BYTES, bytes - done);
    ourMap.read(targetPosition + done, ours, 0, piece);
    theirMap.read(sourcePosition + done, theirs, 0, piece);
    if (ours.compare(theirs, 0, piece, 0, piece) !== 0) return DIFFERS;
  }
  const first = sourcePosition / BLOCK_SIZE;
  share(context, source, { first, count: blocksFor(bytes) }, to, targetPosition / BLOCK_SIZE);
  return { isSame: true, bytesDeduped: bytes };
}

/**
 * The number of bytes to share: whole blocks, plus a partial last block where the range ends at the end of both files.
 * EINVAL.
 */
function lengthToShare(
  from: Inode,
  sourcePosition: number,
  length: number,
  to: Inode,
  targetPosition: number,
): number {
  const [end, targetEnd] = [sourcePosition + length, targetPosition + length];
  const isPlace = (position: number): boolean => position >= 0 && position % BLOCK_SIZE === 0;
  if (!isPlace(sourcePosition) || !isPlace(targetPosition)) throw new FsError('EINVAL');
  if (!Number.isSafeInteger(length) || length < 0) throw new FsError('EINVAL');
  if (end > from.record.size || targetEnd > to.record.size) throw new FsError('EINVAL');
  const reachesEnds = end === from.record.size && targetEnd === to.record.size;
  const bytes = reachesEnds ? length : length - (length % BLOCK_SIZE);
  const reach = blocksFor(end === from.record.size ? length : bytes) * BLOCK_SIZE;
  const overlaps = sourcePosition < targetPosition + reach && targetPosition < sourcePosition + reach;
  if (from === to && overlaps) throw new FsError('EINVAL');
  return bytes;
}

/**
 * Gives the target the source's blocks. Where either file has a hole or bytes of a host file, the target keeps what it
 * has, so that allocated space stays allocated.
 */
function share(
  context: TreeContext,
  { context: origin, inode: from }: SharedFile,
  { first, count: blocks }: BlockRange,
  to: Inode,
  targetFirst: number,
): void {
  const { stack } = context;
  const mapping = stack.mappingOf(to);
  const foreign = origin.stack === stack ? 0 : origin.stack.activeId;
  const runs: Run[] = [];
  origin.stack
    .mappingOf(from)
    .extents.forEachPiece(first, first + blocks, (logical, count, blob, physical) => {
      if (blob === 0 || !stack.blobs.isStored(blob)) return;
      if (blob === foreign) {
        const note = 'the source has unfrozen blocks of another fork: snapshot that fork first';
        throw new FsError('EXDEV', { note });
      }
      const start = logical - first + targetFirst;
      mapping.extents.forEachPiece(start, start + count, (at, pieceCount, pieceBlob, piecePhysical) => {
        const wanted = (physical + at - start) as BlockIndex; // The cast: a block of `blob`.
        if (pieceBlob === 0 || !stack.blobs.isStored(pieceBlob)) return;
        if (pieceBlob === blob && piecePhysical === wanted) return;
        runs.push({ logical: at, count: pieceCount, blob, physical: wanted });
      });
    });
  if (runs.length === 0) return;
  if (origin.stack !== stack) undrop(stack.tables, runs);
  stack.change((batch) => {
    mapping.maps.requireRoom(2 * runs.length);
    mapping.share(runs);
    batch.setRuns(to, runs);
  });
}
