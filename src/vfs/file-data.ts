/** Bytes of open files: read(2), write(2), truncate(2), fallocate(2), lseek(2) for data and holes, reflinks, maps. */
import {
  assert,
  BLOCK_SIZE,
  type BlockIndex,
  blocksFor,
  FsError,
  isFsError,
  type Run,
} from '../base/index.ts';
import { isExternal } from '../blob/index.ts';
import { type BlockRange, type Inode, type LayerStack, type Loan, lend, takeBack } from '../layer/index.ts';
import { asOutOfMappings, EVERYTHING, type View } from '../mapping/index.ts';
import { O_DSYNC } from '../sys/index.ts';
import { noteAccess } from './attributes.ts';
import { type TreeContext, touchChanged, touchModified } from './context.ts';
import type { OpenFile } from './open-file.ts';
import { dropPrivileges } from './privileges.ts';

/** Largest file: physical and logical block numbers stay exact, with room to spare. */
const FILE_BYTES_MAX = 2 ** 52;
/** Blocks copied together when a file has too many pieces to be mapped, first try and last. */
const GATHER_BLOCKS_FIRST = 64;
const GATHER_BLOCKS_MAX = 16_384;

function requireFile(file: OpenFile): Inode {
  if (!file.isOpen) throw new FsError('EBADF');
  const { inode } = file;
  if (!inode.isFile) throw new FsError(inode.isDirectory ? 'EISDIR' : 'EINVAL');
  return inode;
}

function requireReadable(file: OpenFile): Inode {
  if (!file.isOpen || !file.canRead) throw new FsError('EBADF');
  return requireFile(file);
}

function requireWritable(file: OpenFile): Inode {
  if (!file.isOpen || !file.canWrite) throw new FsError('EBADF');
  return requireFile(file);
}

/** Reads at `position`, or at the file's own position when null, which then moves. Returns the bytes read. */
export function read(
  context: TreeContext,
  file: OpenFile,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number | null,
): number {
  const inode = requireReadable(file);
  context.stack.refresh(inode);
  const at = position ?? file.position;
  const bytes = Math.min(length, inode.record.size - at);
  if (bytes <= 0) return 0;
  (inode.mapping ?? context.stack.mappingOf(inode)).read(at, target, offset, bytes);
  noteAccess(context, inode);
  if (position === null) file.position = at + bytes;
  return bytes;
}

/** As `read` with a position; -1 when the disk would have to be waited for. */
export function tryRead(
  context: TreeContext,
  file: OpenFile,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  const inode = requireReadable(file);
  context.stack.refresh(inode);
  const bytes = Math.min(length, inode.record.size - position);
  if (bytes <= 0) return 0;
  if (!context.stack.mappingOf(inode).tryRead(position, target, offset, bytes)) return -1;
  noteAccess(context, inode);
  return bytes;
}

/**
 * Writes all of the bytes; acknowledged when it returns. EFBIG, ENOSPC, EIO, EROFS, EBADF. `clearsSetId`, here and
 * below, says that the caller may not keep set-user-ID and set-group-ID bits; credentials that are set say it too.
 */
export function write(
  context: TreeContext,
  file: OpenFile,
  source: Uint8Array,
  offset: number,
  length: number,
  position: number | null,
  clearsSetId = false,
): number {
  const inode = requireWritable(file);
  if (length > 0) context.stack.copyUp(inode);
  const at = file.isAppending ? inode.record.size : (position ?? file.position);
  if (length > 0) writeAt(context, inode, source, offset, length, at, clearsSetId);
  if (position === null) file.position = at + length;
  if ((file.flags & O_DSYNC) !== 0) context.stack.writable().commitMark();
  return length;
}

function writeAt(
  context: TreeContext,
  inode: Inode,
  source: Uint8Array,
  offset: number,
  length: number,
  at: number,
  clearsSetId: boolean,
): void {
  const { stack } = context;
  if (at + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const batch = stack.begin();
  const mapping = stack.mappingOf(inode);
  const before = inode.record;
  const draft = batch.change(inode);
  dropPrivileges(context, batch, inode, draft, clearsSetId);
  try {
    batch.setRuns(inode, mapping.write(at, source, offset, length));
    if (at + length > draft.size) draft.size = at + length;
    touchModified(draft, context.now());
    stack.commit(batch);
  } catch (error) {
    // Bytes behind the end may be in the last block already, where a later growth would show them.
    if (inode.record === before && at + length > before.size) mapping.clearTail(before.size);
    throw error;
  }
}

/** truncate(2): shorter, or longer with a hole at the end. */
export function setSize(
  context: TreeContext,
  inode: Inode,
  size: number,
  clearsSetId = false,
  keepsPrivileges = false,
): void {
  if (!inode.isFile) throw new FsError(inode.isDirectory ? 'EISDIR' : 'EINVAL');
  // An off_t below 0 comes as 64 bits without a sign.
  if (size < 0 || size > 2 ** 63 || !Number.isInteger(size)) throw new FsError('EINVAL');
  if (size > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const { stack } = context;
  // Nothing of a file that is emptied need be taken over first.
  if (size > 0) stack.copyUp(inode);
  else stack.refresh(inode);
  const batch = stack.begin();
  const before = inode.record.size;
  const draft = batch.change(inode);
  if (!keepsPrivileges) dropPrivileges(context, batch, inode, draft, clearsSetId);
  if (size < before && (inode.record.blocks > 0 || stack.chain.isLive(inode.ino)))
    batch.setRuns(inode, stack.mappingOf(inode).cut(size));
  draft.size = size;
  touchModified(draft, context.now());
  stack.commit(batch);
}

export function truncateFile(context: TreeContext, file: OpenFile, size: number, clearsSetId = false): void {
  if (!file.isOpen) throw new FsError('EBADF');
  if (!file.canWrite) throw new FsError('EINVAL');
  setSize(context, requireFile(file), size, clearsSetId);
}

/** fallocate(2) mode 0 (or KEEP_SIZE): afterwards a write there does not fail for want of space. */
export function allocate(
  context: TreeContext,
  file: OpenFile,
  position: number,
  length: number,
  keepSize: boolean,
  clearsSetId = false,
): void {
  const inode = requireWritable(file);
  if (position < 0 || length <= 0) throw new FsError('EINVAL');
  if (position + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const { stack } = context;
  stack.copyUp(inode);
  const batch = stack.begin();
  const draft = batch.change(inode);
  dropPrivileges(context, batch, inode, draft, clearsSetId);
  const end = keepSize ? Math.min(position + length, inode.record.size) : position + length;
  if (end > position) batch.setRuns(inode, stack.mappingOf(inode).fill(position, end - position));
  draft.size = Math.max(draft.size, end);
  touchModified(draft, context.now());
  stack.commit(batch);
}

/** fallocate(2) PUNCH_HOLE|KEEP_SIZE: the range reads as zeros and its blocks come back. */
export function punch(
  context: TreeContext,
  file: OpenFile,
  position: number,
  length: number,
  clearsSetId = false,
): void {
  const inode = requireWritable(file);
  if (position < 0 || length <= 0) throw new FsError('EINVAL');
  if (position + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
  const { stack } = context;
  stack.copyUp(inode);
  const batch = stack.begin();
  const draft = batch.change(inode);
  dropPrivileges(context, batch, inode, draft, clearsSetId);
  batch.setRuns(inode, stack.mappingOf(inode).zero(position, length, inode.record.size));
  touchModified(draft, context.now());
  stack.commit(batch);
}

/**
 * lseek(2) SEEK_DATA: the first byte of data at or after `position`. ENXIO when there is none. Of what is a host file's
 * the host says where it has holes; ESTALE where that file has changed.
 */
export function seekData(context: TreeContext, file: OpenFile, position: number): number {
  const { stack } = context;
  const inode = requirePosition(context, file, position);
  const { size } = inode.record;
  const { extents } = stack.mappingOf(inode);
  for (let at = position; at < size; ) {
    const block = Math.floor(at / BLOCK_SIZE);
    extents.locate(block);
    const { foundBlob, foundPhysical, foundCount } = extents;
    const shift = (foundPhysical - block) * BLOCK_SIZE;
    const end = (block + foundCount) * BLOCK_SIZE;
    if (foundBlob !== 0) {
      const data = isExternal(foundBlob)
        ? (stack.blobs.externals.seekData(foundBlob, at + shift) ?? Number.POSITIVE_INFINITY) - shift
        : at;
      if (data < Math.min(end, size)) return data;
    }
    at = end;
  }
  throw new FsError('ENXIO');
}

/** lseek(2) SEEK_HOLE: the first hole at or after `position`; the end of the file counts as one. As `seekData`. */
export function seekHole(context: TreeContext, file: OpenFile, position: number): number {
  const { stack } = context;
  const inode = requirePosition(context, file, position);
  const { size } = inode.record;
  const { extents } = stack.mappingOf(inode);
  for (let at = position; at < size; ) {
    const block = Math.floor(at / BLOCK_SIZE);
    extents.locate(block);
    const { foundBlob, foundPhysical, foundCount } = extents;
    if (foundBlob === 0) return at;
    const shift = (foundPhysical - block) * BLOCK_SIZE;
    const end = (block + foundCount) * BLOCK_SIZE;
    const hole = isExternal(foundBlob) ? stack.blobs.externals.seekHole(foundBlob, at + shift) : undefined;
    if (hole !== undefined && hole - shift < Math.min(end, size)) return hole - shift;
    at = end;
  }
  return size;
}

function requirePosition(context: TreeContext, file: OpenFile, position: number): Inode {
  const inode = requireFile(file);
  context.stack.refresh(inode);
  if (position < 0 || position >= inode.record.size) throw new FsError('ENXIO');
  return inode;
}

/** Everything acknowledged so far survives a power cut. The journal is one, so syncing one file syncs all. */
export function sync(context: TreeContext, file: OpenFile): void {
  if (!file.isOpen) throw new FsError('EBADF');
  syncAll(context);
}

export function syncAll({ stack: { upper } }: TreeContext): void {
  if (upper?.isUnmarked) upper.commitMark();
}

// Reflinks.

/** A file of any open tree, as the source of a reflink. */
export interface ReflinkSource {
  readonly context: TreeContext;
  readonly file: OpenFile;
}

/**
 * ioctl_ficlonerange(2): `target` shares the source's blocks. Positions are multiples of 4,096, and so is the length
 * unless it ends at the source's end; 0 means to the end. EINVAL otherwise, or when the ranges of one file overlap.
 */
export function reflinkRange(
  context: TreeContext,
  source: ReflinkSource,
  sourcePosition: number,
  length: number,
  target: OpenFile,
  targetPosition: number,
  clearsSetId = false,
): void {
  const from = requireReadable(source.file);
  const to = requireWritable(target);
  takeOver(context, source.context, from, to);
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
  shareRange(context, source.context, from, sourcePosition, to, targetPosition, bytes, false, clearsSetId);
}

/** Before one file shares the blocks of another: the one that changes has no bytes that are the host's alone. */
function takeOver(context: TreeContext, sourceContext: TreeContext, from: Inode, to: Inode): void {
  context.stack.copyUp(to);
  sourceContext.stack.refresh(from);
}

function shareRange(
  context: TreeContext,
  sourceContext: TreeContext,
  from: Inode,
  sourcePosition: number,
  to: Inode,
  targetPosition: number,
  bytes: number,
  isWhole: boolean,
  clearsSetId = false,
): void {
  requireFileOf(sourceContext, from, context);
  // What comes into a file that is mapped must not be a host file's, which a view cannot show.
  const range = { first: sourcePosition / BLOCK_SIZE, count: blocksFor(bytes) };
  const loan = lend(sourceContext.stack, from, range, context.stack, to.mapping?.isMapped === true);
  try {
    const shift = (targetPosition - sourcePosition) / BLOCK_SIZE;
    const runs = sharedRuns(loan, sourceContext.stack, context.stack, range);
    const moved = runs.map((run) => ({ ...run, logical: (run.logical + shift) as BlockIndex }));
    shareRuns(
      context,
      to,
      isWhole ? [EVERYTHING, ...moved] : moved,
      targetPosition + bytes,
      isWhole,
      clearsSetId,
    );
  } finally {
    loan.release?.();
  }
}

/** Blocks are counted by tree and numbered by store: a file taken for another tree's would be shared uncounted. */
function requireFileOf({ stack }: TreeContext, from: Inode, target: TreeContext): void {
  if (stack.tables === target.stack.tables && stack.inodes.get(from.ino) === from) return;
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
    // Another tree's active blob is overwritten in place by its owner: nobody else may refer to it.
    if (blob !== 0 && blob === foreign) isShareable = false;
    runs.push({ logical: logical as BlockIndex, count: length, blob, physical });
  });
  if (!isShareable)
    throw new FsError('EXDEV', {
      note: 'the source has unfrozen blocks of another fork: copy it, or snapshot that fork',
    });
  if (source !== target) takeBack(target.tables, runs);
  return runs;
}

/** The file ends at `end`, where that is not before its end, or `isWhole`. */
function shareRuns(
  context: TreeContext,
  to: Inode,
  runs: readonly Run[],
  end: number,
  isWhole: boolean,
  clearsSetId: boolean,
): void {
  const { stack } = context;
  const batch = stack.begin();
  const draft = batch.change(to);
  dropPrivileges(context, batch, to, draft, clearsSetId);
  const mapping = stack.mappingOf(to);
  mapping.maps.requireRoom(2 * runs.length);
  mapping.share(runs);
  batch.setRuns(to, runs);
  draft.size = isWhole ? end : Math.max(draft.size, end);
  touchModified(draft, context.now());
  stack.commit(batch);
}

/**
 * FICLONE: the whole source becomes the target's content. Where it fails the target is as it was, and so are its times
 * where both are empty: there is nothing to share and nothing to give up.
 */
export function reflink(context: TreeContext, source: ReflinkSource, target: OpenFile): void {
  const from = requireReadable(source.file);
  const to = requireWritable(target);
  if (from === to) return;
  takeOver(context, source.context, from, to);
  if (from.record.size === 0) {
    if (to.record.size > 0) setSize(context, to, 0);
  } else shareRange(context, source.context, from, 0, to, 0, from.record.size, true);
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
export function map(context: TreeContext, file: OpenFile, options: MapOptions = {}): View {
  if (!file.isOpen || !file.canRead) throw new FsError('EBADF');
  const inode = requireFile(file);
  const { stack } = context;
  if (!stack.system.canMap) throw new FsError('ENOTSUP', { note: 'this platform has no memory maps' });
  // A host file is never mapped: somebody may cut it, and a touch behind its end would end the process.
  try {
    stack.copyUp(inode, true);
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
    const batch = stack.begin();
    batch.setRuns(inode, stack.mappingOf(inode).gather(inode.record.size, regionBlocks));
    touchChanged(batch.change(inode), {
      seconds: inode.record.ctimeSeconds,
      nanoseconds: inode.record.ctimeNanoseconds,
    });
    stack.commit(batch);
  } catch (error) {
    throw asOutOfMappings(error);
  }
}
