/**
 * Copy-up: before a fork changes a file whose bytes are still in a host file, or shares these bytes with another file,
 * its upper layer takes the bytes over. The upper layer either refers to them in the host file (names them) or copies
 * them.
 */
import {
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  FsError,
  isSameTimespec,
  type Run,
} from '../base/index.ts';
import type { ActiveBlob } from '../blob/index.ts';
import { type DataSegment, dataSegments, ExtentMap, type SeekCalls } from '../extent/index.ts';
import { type DerivedLower, dataRuns, type HostFile } from '../lower/index.ts';
import { EVERYTHING, type Mapping } from '../mapping/index.ts';
import type { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';

/**
 * The most pieces of data that a copy-up by name looks for in a host file; each takes some 4 µs. The rest of the file
 * counts as one piece, and `dataRuns` later asks the host for the holes in that piece.
 */
const SEGMENTS_MAX = 32_768;
const COPY_BLOCKS = 256;
/** How many times to try to copy a host file that is being written to. */
const COPY_ATTEMPTS = 3;

/**
 * Call before bytes of the file change. From then on the upper layer has the file's extents: it names the ranges of the
 * host file (`ExternalFiles.name`), or copies them if the live layer is pinned or `mustTake` is set. ESTALE, EROFS,
 * ENOSPC; EBUSY when the host file is constantly being written to.
 *
 * If the bytes are no longer in a live layer, only `mustTake` has an effect: it copies the ranges that an earlier
 * copy-up named. After a call with `mustTake` the file names no host file at all.
 */
export function copyUp(stack: LayerStack, inode: Inode, mustTake = false): void {
  const { live } = stack.chain;
  stack.refresh(inode);
  if (live !== undefined && inode.record.extentLayer === live.id) copyUpBytes(stack, live, inode, mustTake);
  else if (mustTake) takeNamedBytes(stack, inode, stack.mappingOf(inode));
}

function copyUpBytes(stack: LayerStack, live: DerivedLower, inode: Inode, mustTake: boolean): void {
  const file = live.hostFile(inode.ino);
  if (file === undefined) return;
  stack.writable();
  const { fd, state } = file.open();
  try {
    const isTaken = file.isPinned || mustTake;
    const runs = isTaken
      ? takeBytes(stack, fd, file)
      : nameBytes(stack, fd, stack.blobs.externals.name(state), 0, state.sizeBytes);
    stack.change((batch) => {
      batch.setRuns(inode, [EVERYTHING, ...runs]);
      batch.change(inode).size = isTaken ? stack.system.statFile(fd).size : state.sizeBytes;
    });
  } finally {
    stack.system.close(fd);
  }
}

/**
 * Extents that a file lends to another. The borrower calls `release`, if there is one, when it is done or has failed.
 */
export interface Loan {
  readonly extents: ExtentMap;
  readonly release: (() => void) | undefined;
}

/** A range of blocks of a file: `count` blocks from block `first` on. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

/**
 * Returns the extents of a range of `inode` for a file of `target` to share; `inode` does not change. Bytes in a host
 * file are named, or copied into the active blob of `target` if the live layer is pinned or `mustTake` is set. ESTALE,
 * ENOSPC, EBUSY.
 */
export function lend(
  stack: LayerStack,
  inode: Inode,
  range: BlockRange,
  target: LayerStack,
  mustTake: boolean,
): Loan {
  stack.refresh(inode);
  const { live } = stack.chain;
  const mapping = stack.mappingOf(inode);
  const isHosts = live !== undefined && inode.record.extentLayer === live.id;
  const file = isHosts ? live.hostFile(inode.ino) : undefined;
  if (file !== undefined && !file.isPinned && !mustTake) return lendByName(stack, inode, file, range);
  const asItIs: Loan = { extents: mapping.extents, release: undefined };
  if (file === undefined && !mustTake) return asItIs;
  const runs = runsIn(mapping.extents, range);
  const named = runs.filter(({ blob }) => !stack.blobs.isStored(blob));
  if (named.length === 0) return asItIs;
  const active = target.activeBlob();
  const copied = copyNamed(active, mapping, dataRuns(stack.blobs, named));
  const others = runs.filter(({ blob }) => stack.blobs.isStored(blob));
  const all = [...others, ...copied].sort((a, b) => a.logical - b.logical);
  return { extents: ExtentMap.fromRuns(all), release: () => giveBack(active, copied) };
}

function runsIn(extents: ExtentMap, { first, count }: BlockRange): Run[] {
  const runs: Run[] = [];
  extents.forEachPiece(first, first + count, (logical, length, blob, physical) => {
    if (blob !== 0) runs.push({ logical, count: length, blob, physical });
  });
  return runs;
}

function lendByName(stack: LayerStack, inode: Inode, file: HostFile, { first, count }: BlockRange): Loan {
  const { fd, state } = file.open();
  try {
    const { sizeBytes } = state;
    if (sizeBytes !== inode.record.size) throw beingWritten();
    const end = Math.min(sizeBytes, (first + count) * BLOCK_SIZE);
    const runs = nameBytes(stack, fd, stack.blobs.externals.name(state), first * BLOCK_SIZE, end);
    return { extents: ExtentMap.fromRuns(runs), release: undefined };
  } finally {
    stack.system.close(fd);
  }
}

function beingWritten(): FsError {
  return new FsError('EBUSY', { note: 'the host file is being written to while it is copied: try again' });
}

/** Copies the bytes that earlier copy-ups named in host files into the active blob, and names them there. */
function takeNamedBytes(stack: LayerStack, inode: Inode, mapping: Mapping): void {
  const named = [...mapping.extents].filter(({ blob }) => !stack.blobs.isStored(blob));
  if (named.length === 0) return;
  const runs = copyNamed(stack.activeBlob(), mapping, dataRuns(stack.blobs, named));
  stack.change((batch) => {
    const holes = named.map(({ logical, count }) => ({ ...EVERYTHING, logical, count }));
    batch.setRuns(inode, [...holes, ...runs]);
    batch.change(inode);
  });
}

/** Copies these runs of the file into the blob. The new runs hold references to their blocks. */
function copyNamed(active: ActiveBlob, mapping: Mapping, named: readonly Run[]): Run[] {
  const runs: Run[] = [];
  const piece = Buffer.alloc(COPY_BLOCKS * BLOCK_SIZE);
  try {
    for (const { logical, count } of named) {
      const physical = active.allocate(count);
      runs.push({ logical, count, blob: active.id, physical });
      for (let done = 0; done < count; done += COPY_BLOCKS) {
        const length = Math.min(COPY_BLOCKS, count - done) * BLOCK_SIZE;
        mapping.read((logical + done) * BLOCK_SIZE, piece, 0, length);
        active.write((physical + done) * BLOCK_SIZE, piece, 0, length);
      }
    }
  } catch (error) {
    giveBack(active, runs);
    throw error;
  }
  return runs;
}

/** The data of a host file in `[start, end)` as runs of the blob that stands for the file. `start` is block-aligned. */
function nameBytes(stack: LayerStack, fd: number, blob: BlobId, start: number, end: number): Run[] {
  return dataSegments(seekCalls(stack, fd), end, start, SEGMENTS_MAX).map((segment) => {
    const logical = (segment.start / BLOCK_SIZE) as BlockIndex; // Segments begin at blocks.
    return { logical, count: blocksFor(segment.end) - logical, blob, physical: logical };
  });
}

function seekCalls({ system }: LayerStack, fd: number): SeekCalls {
  return {
    seekData: (position) => system.seekData(fd, position),
    seekHole: (position) => system.seekHole(fd, position),
  };
}

/** Copies the bytes into the active blob, by reflink if the host can. The runs hold references to their blocks. */
function takeBytes(stack: LayerStack, fd: number, file: HostFile): Run[] {
  const active = stack.activeBlob();
  for (let attempt = 1; ; attempt++) {
    const before = stack.system.statFile(fd);
    const runs: Run[] = [];
    try {
      for (const segment of dataSegments(seekCalls(stack, fd), before.size))
        takeSegment(stack, active, fd, segment, runs);
    } catch (error) {
      giveBack(active, runs);
      throw error;
    }
    const after = stack.system.statFile(fd);
    if (before.size === after.size && isSameTimespec(before.mtime, after.mtime)) return runs;
    giveBack(active, runs);
    file.forget();
    if (attempt === COPY_ATTEMPTS) throw beingWritten();
  }
}

function giveBack(active: ActiveBlob, runs: readonly Run[]): void {
  for (const { physical, count } of runs) active.dropRefs(physical, count);
}

function takeSegment(
  stack: LayerStack,
  active: ActiveBlob,
  fd: number,
  { start, end }: DataSegment,
  runs: Run[],
): void {
  const logical = (start / BLOCK_SIZE) as BlockIndex; // Segments begin at blocks.
  const count = blocksFor(end) - logical;
  const physical = active.allocate(count);
  runs.push({ logical, count, blob: active.id, physical });
  const whole = Math.floor((end - start) / BLOCK_SIZE) * BLOCK_SIZE;
  const isCloned = whole > 0 && active.clone(fd, start, whole, physical * BLOCK_SIZE);
  const piece = stack.blobs.scratch;
  for (let done = isCloned ? whole : 0; done < count * BLOCK_SIZE; ) {
    const length = Math.min(piece.length, count * BLOCK_SIZE - done);
    const got = stack.system.pread(fd, piece, 0, Math.min(length, end - start - done), start + done);
    // Bytes after the end of the file are zeros.
    piece.fill(0, got, length);
    active.write(physical * BLOCK_SIZE + done, piece, 0, length);
    done += length;
  }
}
