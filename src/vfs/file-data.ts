/**
 * Bytes of files, by inode: read(2), write(2), truncate(2), fallocate(2), lseek(2) for data and holes, reflinks, maps.
 * How a file was opened is checked above: by `FileSystem`, or by the kernel of a mount. Every function here throws
 * EISDIR, or EINVAL, for an inode that is no regular file.
 */
import {
  assert,
  BLOCK_SIZE,
  type BlockIndex,
  blocksFor,
  FsError,
  isFsError,
  type Run,
} from '../base/index.ts';
import {
  type BlockRange,
  copyUp,
  type Inode,
  type LayerStack,
  type Loan,
  lend,
  undrop,
} from '../layer/index.ts';
import { asOutOfMappings, EVERYTHING, type View } from '../mapping/index.ts';
import { noteAccess } from './attributes.ts';
import type { Caller } from './caller.ts';
import { type TreeContext, touchChanged, touchModified } from './context.ts';
import { dropPrivileges } from './privileges.ts';

/** Largest file: physical and logical block numbers stay exact, with room to spare. */
const FILE_BYTES_MAX = 2 ** 52;
/** Blocks copied together when a file has too many pieces to be mapped, first try and last. */
const GATHER_BLOCKS_FIRST = 64;
const GATHER_BLOCKS_MAX = 16_384;

export function requireFile(inode: Inode): void {
  if (!inode.isFile) throw new FsError(inode.isDirectory ? 'EISDIR' : 'EINVAL');
}

/** Reads up to `length` bytes; fewer at the end of the file. Returns their number. EIO. */
export function read(
  context: TreeContext,
  inode: Inode,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  requireFile(inode);
  context.stack.refresh(inode);
  const bytes = Math.min(length, inode.record.size - position);
  if (bytes <= 0) return 0;
  (inode.mapping ?? context.stack.mappingOf(inode)).read(position, target, offset, bytes);
  noteAccess(context, inode);
  return bytes;
}

/** As `read`; -1 when the disk would have to be waited for. */
export function tryRead(
  context: TreeContext,
  inode: Inode,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  requireFile(inode);
  context.stack.refresh(inode);
  const bytes = Math.min(length, inode.record.size - position);
  if (bytes <= 0) return 0;
  if (!context.stack.mappingOf(inode).tryRead(position, target, offset, bytes)) return -1;
  noteAccess(context, inode);
  return bytes;
}

/** Writes all of the bytes; acknowledged when it returns. EFBIG, ENOSPC, EIO, EROFS. */
export function write(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  source: Uint8Array,
  offset: number,
  length: number,
  position: number,
): void {
  requireFile(inode);
  if (length === 0) return;
  copyUp(context.stack, inode);
  writeAt(context, caller, inode, source, offset, length, position);
}

/** As `write`, at the end of the file. Returns where the bytes lie. */
export function append(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  source: Uint8Array,
  offset: number,
  length: number,
): number {
  requireFile(inode);
  if (length > 0) copyUp(context.stack, inode);
  const at = inode.record.size;
  if (length > 0) writeAt(context, caller, inode, source, offset, length, at);
  return at;
}

function writeAt(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  source: Uint8Array,
  offset: number,
  length: number,
  at: number,
): void {
  const { stack } = context;
  if (at + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
  stack.writable();
  const mapping = stack.mappingOf(inode);
  const before = inode.record;
  try {
    stack.change((batch) => {
      const draft = batch.change(inode);
      dropPrivileges(context, caller, batch, inode, draft);
      batch.setRuns(inode, mapping.write(at, source, offset, length));
      if (at + length > draft.size) draft.size = at + length;
      touchModified(draft, context.now());
    });
  } catch (error) {
    // The last block may hold bytes behind the end already, which later growth would show.
    if (inode.record === before && at + length > before.size) mapping.clearTail(before.size);
    throw error;
  }
}

/** truncate(2): shorter, or longer with a hole at the end. `keepsPrivileges`: set-ID bits and capabilities stay. */
export function setSize(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  size: number,
  keepsPrivileges = false,
): void {
  requireFile(inode);
  // An off_t below 0 comes as 64 bits without a sign.
  if (size < 0 || size > 2 ** 63 || !Number.isInteger(size)) throw new FsError('EINVAL');
  if (size > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const { stack } = context;
  // Of a file that is emptied nothing needs to be taken over.
  if (size > 0) copyUp(stack, inode);
  else stack.refresh(inode);
  stack.change((batch) => {
    const before = inode.record.size;
    const draft = batch.change(inode);
    if (!keepsPrivileges) dropPrivileges(context, caller, batch, inode, draft);
    if (size < before && (inode.record.blocks > 0 || stack.chain.isLive(inode.ino)))
      batch.setRuns(inode, stack.mappingOf(inode).cut(size));
    draft.size = size;
    touchModified(draft, context.now());
  });
}

/** fallocate(2) with mode 0 or KEEP_SIZE: afterwards no write there fails for want of space. */
export function allocate(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  position: number,
  length: number,
  keepSize: boolean,
): void {
  requireFile(inode);
  if (position < 0 || length <= 0) throw new FsError('EINVAL');
  if (position + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const { stack } = context;
  copyUp(stack, inode);
  stack.change((batch) => {
    const draft = batch.change(inode);
    dropPrivileges(context, caller, batch, inode, draft);
    const end = keepSize ? Math.min(position + length, inode.record.size) : position + length;
    if (end > position) batch.setRuns(inode, stack.mappingOf(inode).fill(position, end - position));
    draft.size = Math.max(draft.size, end);
    touchModified(draft, context.now());
  });
}

/** fallocate(2) PUNCH_HOLE|KEEP_SIZE: the range reads as zeros and its blocks come back. */
export function punch(
  context: TreeContext,
  caller: Caller,
  inode: Inode,
  position: number,
  length: number,
): void {
  requireFile(inode);
  if (position < 0 || length <= 0) throw new FsError('EINVAL');
  if (position + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const { stack } = context;
  copyUp(stack, inode);
  stack.change((batch) => {
    const draft = batch.change(inode);
    dropPrivileges(context, caller, batch, inode, draft);
    batch.setRuns(inode, stack.mappingOf(inode).zero(position, length, inode.record.size));
    touchModified(draft, context.now());
  });
}

/**
 * lseek(2) SEEK_DATA: the first byte of data at or after `position`. ENXIO when there is none. The host knows the holes
 * of what lies in its files; ESTALE where such a file has changed.
 */
export function seekData(context: TreeContext, inode: Inode, position: number): number {
  const { stack } = context;
  requirePosition(context, inode, position);
  const { size } = inode.record;
  const { extents } = stack.mappingOf(inode);
  for (let at = position; at < size; ) {
    const block = Math.floor(at / BLOCK_SIZE);
    extents.locate(block);
    const { foundBlob, foundPhysical, foundCount } = extents;
    const shift = (foundPhysical - block) * BLOCK_SIZE;
    const end = (block + foundCount) * BLOCK_SIZE;
    if (foundBlob !== 0) {
      const data = stack.blobs.seekData(foundBlob, at + shift);
      if (data !== undefined && data - shift < Math.min(end, size)) return data - shift;
    }
    at = end;
  }
  throw new FsError('ENXIO');
}

/** lseek(2) SEEK_HOLE: the first hole at or after `position`; the end of the file counts as one. As `seekData`. */
export function seekHole(context: TreeContext, inode: Inode, position: number): number {
  const { stack } = context;
  requirePosition(context, inode, position);
  const { size } = inode.record;
  const { extents } = stack.mappingOf(inode);
  for (let at = position; at < size; ) {
    const block = Math.floor(at / BLOCK_SIZE);
    extents.locate(block);
    const { foundBlob, foundPhysical, foundCount } = extents;
    if (foundBlob === 0) return at;
    const shift = (foundPhysical - block) * BLOCK_SIZE;
    const end = (block + foundCount) * BLOCK_SIZE;
    const hole = stack.blobs.seekHole(foundBlob, at + shift);
    if (hole !== undefined && hole - shift < Math.min(end, size)) return hole - shift;
    at = end;
  }
  return size;
}

function requirePosition(context: TreeContext, inode: Inode, position: number): void {
  requireFile(inode);
  context.stack.refresh(inode);
  if (position < 0 || position >= inode.record.size) throw new FsError('ENXIO');
}

/** Everything acknowledged so far survives a power cut: there is one journal, so what syncs one file syncs all. */
export function sync({ stack: { upper } }: TreeContext): void {
  if (upper?.isUnmarked) upper.commitMark();
}

// Reflinks.

/** A file of any open tree of the store, whose blocks another file is to share. */
export interface SharedFile {
  readonly context: TreeContext;
  readonly inode: Inode;
}

/**
 * ioctl_ficlonerange(2): `to` shares the source's blocks. Positions are multiples of 4,096, and so is the length
 * unless it ends at the source's end; 0 means to the end. EINVAL otherwise, or when the ranges of one file overlap.
 */
export function reflinkRange(
  context: TreeContext,
  caller: Caller,
  source: SharedFile,
  sourcePosition: number,
  length: number,
  to: Inode,
  targetPosition: number,
): void {
  const from = source.inode;
  takeOver(context, source, to);
  const sourceSize = from.record.size;
  const bytes = length === 0 ? sourceSize - sourcePosition : length;
  const end = sourcePosition + bytes;
  if (sourcePosition < 0 || targetPosition < 0 || bytes < 0 || end > sourceSize) throw new FsError('EINVAL');
  if (sourcePosition % BLOCK_SIZE !== 0 || targetPosition % BLOCK_SIZE !== 0) throw new FsError('EINVAL');
  const targetEnd = targetPosition + bytes;
  const reachesEnd = end === sourceSize && targetEnd >= to.record.size;
  if (bytes % BLOCK_SIZE !== 0 && !reachesEnd) throw new FsError('EINVAL');
  if (from === to && sourcePosition < targetEnd && targetPosition < end) throw new FsError('EINVAL');
  if (bytes === 0) return;
  if (targetEnd > FILE_BYTES_MAX) throw new FsError('EFBIG');
  shareRange(context, caller, source, sourcePosition, to, targetPosition, bytes, false);
}

/** Before `to` shares blocks of the source: no bytes of `to` may be left in a host file. */
function takeOver(context: TreeContext, source: SharedFile, to: Inode): void {
  requireFile(source.inode);
  requireFile(to);
  copyUp(context.stack, to);
  source.context.stack.refresh(source.inode);
}

function shareRange(
  context: TreeContext,
  caller: Caller,
  source: SharedFile,
  sourcePosition: number,
  to: Inode,
  targetPosition: number,
  bytes: number,
  isWhole: boolean,
): void {
  requireFileOf(source, context);
  const lender = source.context.stack;
  // A mapped file must get no bytes that lie in a host file: a view cannot show them.
  const range = { first: sourcePosition / BLOCK_SIZE, count: blocksFor(bytes) };
  const loan = lend(lender, source.inode, range, context.stack, to.mapping?.isMapped === true);
  try {
    const shift = (targetPosition - sourcePosition) / BLOCK_SIZE;
    const runs = sharedRuns(loan, lender, context.stack, range);
    const moved = runs.map((run) => ({ ...run, logical: (run.logical + shift) as BlockIndex }));
    shareRuns(context, caller, to, isWhole ? [EVERYTHING, ...moved] : moved, targetPosition + bytes, isWhole);
  } finally {
    loan.release?.();
  }
}

/** Blocks are counted by tree and numbered by store: those of a file from any other tree would be shared uncounted. */
function requireFileOf({ context: { stack }, inode }: SharedFile, target: TreeContext): void {
  if (stack.tables === target.stack.tables && stack.inodes.get(inode.ino) === inode) return;
  throw new FsError('EXDEV', { note: 'the source is no file of that tree, or one of another store' });
}

/** The pieces of a range, which may be named in the target's tree from here on. */
function sharedRuns(
  { extents }: Loan,
  source: LayerStack,
  target: LayerStack,
  { first, count }: BlockRange,
): Run[] {
  const runs: Run[] = [];
  const foreign = source === target ? 0 : source.activeId;
  let isShareable = true;
  extents.forEachPiece(first, first + count, (logical, length, blob, physical) => {
    // Another tree's active blob is overwritten in place: nothing outside that tree may refer to it.
    if (blob !== 0 && blob === foreign) isShareable = false;
    runs.push({ logical: logical as BlockIndex, count: length, blob, physical });
  });
  if (!isShareable)
    throw new FsError('EXDEV', {
      note: 'the source has unfrozen blocks of another fork: copy it, or snapshot that fork',
    });
  if (source !== target) undrop(target.tables, runs);
  return runs;
}

/** The file ends at `end`, or where it ended, whichever is later; with `isWhole` at `end`. */
function shareRuns(
  context: TreeContext,
  caller: Caller,
  to: Inode,
  runs: readonly Run[],
  end: number,
  isWhole: boolean,
): void {
  const { stack } = context;
  stack.change((batch) => {
    const draft = batch.change(to);
    dropPrivileges(context, caller, batch, to, draft);
    const mapping = stack.mappingOf(to);
    mapping.maps.requireRoom(2 * runs.length);
    mapping.share(runs);
    batch.setRuns(to, runs);
    draft.size = isWhole ? end : Math.max(draft.size, end);
    touchModified(draft, context.now());
  });
}

/**
 * FICLONE: the whole source becomes the content of `to`. Where it fails `to` is as it was; where both are empty it
 * keeps its times too, since nothing changes.
 */
export function reflink(context: TreeContext, caller: Caller, source: SharedFile, to: Inode): void {
  const from = source.inode;
  requireFile(to);
  if (from === to) return;
  takeOver(context, source, to);
  if (from.record.size === 0) {
    if (to.record.size > 0) setSize(context, caller, to, 0);
  } else shareRange(context, caller, source, 0, to, 0, from.record.size, true);
  assert(to.record.size === from.record.size, 'a clone is as long as its source');
}

// Memory maps.

export interface MapOptions {
  /** Read and verify every block first: EIO instead of damaged bytes. */
  readonly verify?: boolean;
  /** Length to reserve, in bytes, for a file that will grow while it is mapped. */
  readonly reserveBytes?: number;
}

/** A live view of the file's bytes. EISDIR, EACCES, ENOMEM, ENOTSUP, and EIO with `verify`. */
export function map(context: TreeContext, inode: Inode, options: MapOptions = {}): View {
  requireFile(inode);
  const { stack } = context;
  if (!stack.system.canMap) throw new FsError('ENOTSUP', { note: 'this platform has no memory maps' });
  // A host file is never mapped: it may be cut, and a touch behind its end would end the process.
  try {
    copyUp(stack, inode, true);
  } catch (error) {
    if (!isFsError(error, 'EROFS')) throw error;
    const note =
      'its bytes lie in a host directory, and a snapshot takes none over: map it in a fork of the snapshot';
    throw new FsError('EROFS', { note });
  }
  const mapping = stack.mappingOf(inode);
  const { size } = inode.record;
  if (options.verify === true) mapping.verify(size);
  const reserveBytes = options.reserveBytes ?? 0;
  const reserved = Math.max(1, blocksFor(Math.max(size, reserveBytes))) * BLOCK_SIZE;
  for (
    let region = GATHER_BLOCKS_FIRST;
    !mapping.maps.canMap(reserved) && region <= GATHER_BLOCKS_MAX;
    region *= 4
  ) {
    gather(context, inode, region);
  }
  noteAccess(context, inode);
  return mapping.maps.map(size, reserveBytes);
}

/** Copies the pieces of a fragmented file together, so that it can be mapped. ENOMEM where that is refused. */
function gather(context: TreeContext, inode: Inode, regionBlocks: number): void {
  const { stack } = context;
  try {
    stack.change((batch) => {
      batch.setRuns(inode, stack.mappingOf(inode).gather(inode.record.size, regionBlocks));
      touchChanged(batch.change(inode), {
        seconds: inode.record.ctimeSeconds,
        nanoseconds: inode.record.ctimeNanoseconds,
      });
    });
  } catch (error) {
    throw asOutOfMappings(error);
  }
}
