/**
 * Bytes of a tree's files, by inode: read(2), write(2), truncate(2), fallocate(2), lseek(2) for data and holes,
 * reflinks, maps. The caller (`FileSystem`, or the kernel of a mount) checks how a file was opened. Every method throws
 * EISDIR or EINVAL for an inode that is not a regular file.
 */
import {
  assert,
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  FsError,
  isFsError,
  type Run,
} from '../base/index.ts';
import {
  type Batch,
  type BlockRange,
  copyUp,
  type DraftRecord,
  type Inode,
  type LayerStack,
  type Loan,
  lend,
  undrop,
} from '../layer/index.ts';
import { asOutOfMappings, EVERYTHING, type View } from '../mapping/index.ts';
import { noteAccess } from './attributes.ts';
import type { Caller } from './caller.ts';
import { type TreeContext, touchModified } from './context.ts';
import { dropPrivileges } from './privileges.ts';

/** Largest size of a file. With it, positions and block numbers are exact in a double, with room to spare. */
const FILE_BYTES_MAX = 2 ** 52;
/**
 * A file with too many pieces to be mapped is copied together in regions of this many blocks at the first attempt, and
 * of up to GATHER_BLOCKS_MAX at later ones.
 */
const GATHER_BLOCKS_FIRST = 64;
const GATHER_BLOCKS_MAX = 16_384;

export function requireFile(inode: Inode): void {
  if (!inode.isFile) throw new FsError(inode.isDirectory ? 'EISDIR' : 'EINVAL');
}

/** A file of any open tree of the store, whose blocks another file will share. */
export interface SharedFile {
  readonly context: TreeContext;
  readonly inode: Inode;
}

export interface MapOptions {
  /** Read and verify every block first: EIO instead of damaged bytes. */
  readonly verify?: boolean;
  /** Length to reserve, in bytes, for a file that will grow while it is mapped. */
  readonly reserveBytes?: number;
}

export class FileData {
  /** The state of the tree. For this room only. */
  readonly context: TreeContext;

  constructor(context: TreeContext) {
    this.context = context;
  }

  /**
   * Reads up to `length` bytes, fewer at the end of the file, and returns how many. Without `mayWait` it returns -1 if
   * it would have to wait for the disk. EIO.
   */
  read(
    inode: Inode,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
    mayWait = true,
  ): number {
    requireFile(inode);
    this.context.stack.refresh(inode);
    const bytes = Math.min(length, inode.record.size - position);
    if (bytes <= 0) return 0;
    const mapping = inode.mapping ?? this.context.stack.mappingOf(inode);
    if (!mapping.read(position, target, offset, bytes, mayWait)) return -1;
    noteAccess(this.context, inode);
    return bytes;
  }

  /**
   * Reads a whole file, for which `target` has room. Leaves the access time alone, because no program has read the file
   * yet. False if the read would have to wait for the disk, or the inode has left the cache.
   */
  peek(inode: Inode, target: Uint8Array): boolean {
    const { stack } = this.context;
    if (stack.inodes.get(inode.ino) !== inode) return false;
    return stack.mappingOf(inode).read(0, target, 0, inode.record.size, false);
  }

  /** Moves the access time after a `peek`. */
  noteRead(inode: Inode): void {
    noteAccess(this.context, inode);
  }

  /** Brings the bytes of a range from the disk into memory, in the background. */
  async fetch(inode: Inode, position: number, length: number): Promise<void> {
    const { stack } = this.context;
    const pieces: { blob: BlobId; at: number; bytes: number }[] = [];
    const first = Math.floor(position / BLOCK_SIZE);
    const end = blocksFor(Math.min(position + length, inode.record.size));
    stack.mappingOf(inode).extents.forEachPiece(first, end, (_logical, count, blob, physical) => {
      if (blob !== 0) pieces.push({ blob, at: physical * BLOCK_SIZE, bytes: count * BLOCK_SIZE });
    });
    for (const { blob, at, bytes } of pieces) await stack.blobs.fetch(blob, at, bytes);
  }

  /**
   * write(2), at the end of the file if `position` is undefined. Returns how many bytes were written and are therefore
   * acknowledged. If an error comes after the first of them, these are fewer than `length`. EFBIG, ENOSPC, EIO, EROFS.
   */
  write(
    caller: Caller,
    inode: Inode,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number | undefined,
  ): number {
    requireFile(inode);
    const { stack } = this.context;
    if (length === 0) return 0;
    copyUp(stack, inode);
    const at = position ?? inode.record.size;
    if (at + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
    stack.writable();
    const mapping = stack.mappingOf(inode);
    let done = 0;
    while (done < length) {
      const before = inode.record;
      try {
        stack.change((batch) => {
          const draft = batch.change(inode);
          dropPrivileges(this.context, caller, batch, inode, draft);
          batch.setRuns(inode, mapping.write(at + done, source, offset + done, length - done));
          draft.size = Math.max(draft.size, at + done + mapping.writtenBytes);
          touchModified(draft, this.context.now());
        });
        done += mapping.writtenBytes;
      } catch (error) {
        // The last block may already hold bytes beyond the end of the file, which later growth would show.
        if (inode.record === before && at + length > before.size) mapping.clearTail(before.size);
        if (done > 0 && isFsError(error)) return done;
        throw error;
      }
    }
    return done;
  }

  /** truncate(2). A file that grows gets a hole. `keepsPrivileges`: set-ID bits and capabilities stay. */
  setSize(caller: Caller, inode: Inode, size: number, keepsPrivileges = false): void {
    requireFile(inode);
    // FUSE passes a negative off_t as an unsigned number of 64 bits.
    if (size < 0 || size > 2 ** 63 || !Number.isInteger(size)) throw new FsError('EINVAL');
    if (size > FILE_BYTES_MAX) throw new FsError('EFBIG');
    const { stack } = this.context;
    // An emptied file keeps no bytes, so there are none to copy up.
    if (size > 0) copyUp(stack, inode);
    else stack.refresh(inode);
    stack.change((batch) => {
      const before = inode.record.size;
      const draft = batch.change(inode);
      if (!keepsPrivileges) dropPrivileges(this.context, caller, batch, inode, draft);
      if (size < before && (inode.record.blocks > 0 || stack.chain.isLive(inode.ino)))
        batch.setRuns(inode, stack.mappingOf(inode).cut(size));
      draft.size = size;
      touchModified(draft, this.context.now());
    });
  }

  /** fallocate(2) with mode 0 or KEEP_SIZE: later writes there do not fail for lack of space. */
  allocate(caller: Caller, inode: Inode, position: number, length: number, keepSize: boolean): void {
    this.changeRange(caller, inode, position, length, (batch, draft) => {
      const end = keepSize ? Math.min(position + length, draft.size) : position + length;
      if (end > position) {
        const mapping = this.context.stack.mappingOf(inode);
        batch.setRuns(inode, mapping.fill(position, end - position));
      }
      draft.size = Math.max(draft.size, end);
    });
  }

  /** fallocate(2) with PUNCH_HOLE and KEEP_SIZE: the range reads as zeros, and its blocks are freed. */
  punch(caller: Caller, inode: Inode, position: number, length: number): void {
    this.changeRange(caller, inode, position, length, (batch, draft) => {
      batch.setRuns(inode, this.context.stack.mappingOf(inode).zero(position, length, draft.size));
    });
  }

  private changeRange(
    caller: Caller,
    inode: Inode,
    position: number,
    length: number,
    change: (batch: Batch, draft: DraftRecord) => void,
  ): void {
    requireFile(inode);
    if (position < 0 || length <= 0) throw new FsError('EINVAL');
    if (position + length > FILE_BYTES_MAX) throw new FsError('EFBIG');
    const { stack } = this.context;
    copyUp(stack, inode);
    stack.change((batch) => {
      const draft = batch.change(inode);
      dropPrivileges(this.context, caller, batch, inode, draft);
      change(batch, draft);
      touchModified(draft, this.context.now());
    });
  }

  /**
   * lseek(2) with SEEK_DATA or SEEK_HOLE: the first byte of data, or the first hole, at or after `position`. The end of
   * the file counts as a hole. ENXIO where no data follows. For ranges in host files it asks the host: ESTALE where
   * such a file has changed.
   */
  seek(inode: Inode, position: number, to: 'data' | 'hole'): number {
    requireFile(inode);
    const { blobs } = this.context.stack;
    this.context.stack.refresh(inode);
    const { size } = inode.record;
    if (position < 0 || position >= size) throw new FsError('ENXIO');
    const { extents } = this.context.stack.mappingOf(inode);
    for (let at = position; at < size; ) {
      const block = Math.floor(at / BLOCK_SIZE);
      extents.locate(block);
      const { foundBlob, foundPhysical, foundCount } = extents;
      const shift = (foundPhysical - block) * BLOCK_SIZE;
      const end = (block + foundCount) * BLOCK_SIZE;
      if (foundBlob !== 0) {
        const place = at + shift;
        const found = to === 'data' ? blobs.seekData(foundBlob, place) : blobs.seekHole(foundBlob, place);
        if (found !== undefined && found - shift < Math.min(end, size)) return found - shift;
      } else if (to === 'hole') return at;
      at = end;
    }
    if (to === 'hole') return size;
    throw new FsError('ENXIO');
  }

  /** Starts the writes that `sync` would wait for, in the background. Undefined if they are few. */
  flush(): Promise<void> | undefined {
    return this.context.stack.upper?.flush();
  }

  /** Makes everything acknowledged so far survive a power cut. The tree has one journal, so this syncs all files. */
  sync(): void {
    const { upper } = this.context.stack;
    if (upper?.isUnmarked) upper.commitMark();
  }

  /**
   * ioctl_ficlonerange(2): `to` shares the source's blocks. Positions are multiples of 4,096, and so is the length,
   * unless both ranges reach the ends of their files; a length of 0 means to the end of the source. EINVAL otherwise,
   * or when the ranges overlap in one file.
   * `context` is the context of the source's tree.
   */
  reflinkRange(
    caller: Caller,
    from: Inode,
    sourcePosition: number,
    length: number,
    to: Inode,
    targetPosition: number,
    context = this.context,
  ): void {
    const source = { context, inode: from };
    this.takeOver(source, to);
    const sourceSize = from.record.size;
    const bytes = length === 0 ? sourceSize - sourcePosition : length;
    const end = sourcePosition + bytes;
    if (sourcePosition < 0 || targetPosition < 0 || bytes < 0 || end > sourceSize)
      throw new FsError('EINVAL');
    if (sourcePosition % BLOCK_SIZE !== 0 || targetPosition % BLOCK_SIZE !== 0) throw new FsError('EINVAL');
    const targetEnd = targetPosition + bytes;
    const reachesEnd = end === sourceSize && targetEnd >= to.record.size;
    if (bytes % BLOCK_SIZE !== 0 && !reachesEnd) throw new FsError('EINVAL');
    if (from === to && sourcePosition < targetEnd && targetPosition < end) throw new FsError('EINVAL');
    if (bytes === 0) return;
    if (targetEnd > FILE_BYTES_MAX) throw new FsError('EFBIG');
    this.shareRange(caller, source, sourcePosition, to, targetPosition, bytes, false);
  }

  /** Prepares sharing: copies up `to`, and brings the source up to date. */
  private takeOver(source: SharedFile, to: Inode): void {
    requireFile(source.inode);
    requireFile(to);
    copyUp(this.context.stack, to);
    source.context.stack.refresh(source.inode);
  }

  /**
   * Shares a range of blocks. `to` grows if the range ends beyond its end; with `isWhole` the range becomes all of its
   * content.
   */
  private shareRange(
    caller: Caller,
    source: SharedFile,
    sourcePosition: number,
    to: Inode,
    targetPosition: number,
    bytes: number,
    isWhole: boolean,
  ): void {
    requireFileOf(source, this.context);
    const { stack } = this.context;
    const lender = source.context.stack;
    // A mapped file must get no bytes that lie in a host file, because a view cannot show them.
    const range = { first: sourcePosition / BLOCK_SIZE, count: blocksFor(bytes) };
    const loan = lend(lender, source.inode, range, stack, to.mapping?.isMapped === true);
    try {
      const shift = (targetPosition - sourcePosition) / BLOCK_SIZE;
      const shared = sharedRuns(loan, lender, stack, range, shift);
      const runs = isWhole ? [EVERYTHING, ...shared] : shared;
      stack.change((batch) => {
        const draft = batch.change(to);
        dropPrivileges(this.context, caller, batch, to, draft);
        const mapping = stack.mappingOf(to);
        mapping.maps.requireRoom(2 * runs.length);
        mapping.share(runs);
        batch.setRuns(to, runs);
        const end = targetPosition + bytes;
        draft.size = isWhole ? end : Math.max(draft.size, end);
        touchModified(draft, this.context.now());
      });
    } finally {
      loan.release?.();
    }
  }

  /**
   * FICLONE: `to` gets the content of the source, or stays as it was if that fails. If both are empty, nothing changes,
   * not even a time.
   */
  reflink(caller: Caller, from: Inode, to: Inode, context = this.context): void {
    requireFile(to);
    if (from === to) return;
    const source = { context, inode: from };
    this.takeOver(source, to);
    if (from.record.size === 0) {
      if (to.record.size > 0) this.setSize(caller, to, 0);
    } else this.shareRange(caller, source, 0, to, 0, from.record.size, true);
    assert(to.record.size === from.record.size, 'a clone is as long as its source');
  }

  /** A live view of the file's bytes. EISDIR, EACCES, ENOMEM, ENOTSUP, and EIO with `verify`. */
  map(inode: Inode, options: MapOptions = {}): View {
    requireFile(inode);
    const { stack } = this.context;
    if (!stack.system.canMap) throw new FsError('ENOTSUP', { note: 'this platform has no memory maps' });
    // A host file is never mapped, because it may be truncated, and an access beyond its end would kill the process.
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
      this.gather(inode, region);
    }
    noteAccess(this.context, inode);
    return mapping.maps.map(size, reserveBytes);
  }

  /** Copies the pieces of a fragmented file together, so that it can be mapped. No time changes. ENOMEM. */
  private gather(inode: Inode, regionBlocks: number): void {
    const { stack } = this.context;
    try {
      stack.change((batch) => {
        batch.setRuns(inode, stack.mappingOf(inode).gather(inode.record.size, regionBlocks));
        batch.change(inode);
      });
    } catch (error) {
      throw asOutOfMappings(error);
    }
  }
}

/**
 * EXDEV unless the inode is in use in the tree of its context, and that tree is in the target's store, because each
 * tree counts the uses of its blocks, and each store has its own blob numbers.
 */
function requireFileOf({ context: { stack }, inode }: SharedFile, target: TreeContext): void {
  if (stack.tables === target.stack.tables && stack.inodes.get(inode.ino) === inode) return;
  throw new FsError('EXDEV', { note: 'the source is not a file of that tree, or is in another store' });
}

/**
 * The runs of a range of the source, moved by `shift` blocks. If the trees differ, dropped blocks among them are
 * undropped, so that the target's tree may name them.
 */
function sharedRuns(
  { extents }: Loan,
  source: LayerStack,
  target: LayerStack,
  { first, count }: BlockRange,
  shift: number,
): Run[] {
  const runs: Run[] = [];
  const foreign = source === target ? 0 : source.activeId;
  extents.forEachPiece(first, first + count, (logical, length, blob, physical) => {
    // Another tree overwrites its active blob in place, so nothing outside that tree may refer to it.
    if (blob !== 0 && blob === foreign) {
      const note = 'the source has unfrozen blocks of another fork: copy it, or snapshot that fork';
      throw new FsError('EXDEV', { note });
    }
    runs.push({ logical: (logical + shift) as BlockIndex, count: length, blob, physical });
  });
  if (source !== target) undrop(target.tables, runs);
  return runs;
}
