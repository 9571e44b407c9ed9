/**
 * What a stack does differently for inodes that a live layer answers for: it asks again before they are used, keeps a
 * place in the upper layer for what it records of them, and takes over a file's bytes before any of them changes.
 */
import {
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  FsError,
  type Ino,
  isFsError,
  kindOfMode,
  type Name,
  type Run,
} from '../base/index.ts';
import { type ActiveBlob, type BlobSpace, isExternal } from '../blob/index.ts';
import { type DataSegment, dataSegments, ExtentMap, type SeekCalls } from '../extent/index.ts';
import {
  type DerivedLower,
  dataRuns,
  type Entry,
  entryIno,
  entryOf,
  type HostFile,
  isDerived,
  isWrittenSince,
  recordNow,
  written,
} from '../lower/index.ts';
import { EVERYTHING, type Mapping } from '../mapping/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import type { Batch } from './batch.ts';
import type { Inode } from './inode.ts';

/** The stack, as far as it is needed here. */
export interface LiveStack {
  readonly system: System;
  readonly blobs: BlobSpace;
  inode(ino: Ino): Inode;
  recordedName(directory: Inode, name: Name): Entry | undefined;
  writable(): unknown;
  activeBlob(): ActiveBlob;
  begin(): Batch;
  commit(batch: Batch): void;
}

/** A stack whose files lend what they have. */
export interface LendingStack extends LiveStack {
  readonly chain: { readonly live: DerivedLower | undefined };
  refresh(inode: Inode): void;
  mappingOf(inode: Inode): Mapping;
}

/**
 * Pieces of data of a host file that a copy-up by name tells apart, at some 4 µs each; all behind the last of them is
 * one, of which the host is asked where it has holes.
 */
const SEGMENTS_MAX = 32_768;
const COPY_BLOCKS = 256;
/** Tries to copy a host file that somebody is writing to. */
const COPY_ATTEMPTS = 3;

/**
 * Makes the inode what the layer says it is now. ESTALE when it is no longer there. An inode of which a layer above has
 * recorded attributes alone keeps these, but for what its bytes say: their number and when they were written.
 */
export function refresh(live: DerivedLower, inode: Inode): void {
  if (inode.isUnrecorded) refreshAll(live, inode);
  else if (inode.isFile && inode.record.extentLayer === live.id) refreshBytes(live, inode);
  else if (inode.isDirectory) refreshTimes(live, inode);
}

/** Whether a live layer has a part in what an inode is: its record, its bytes, or its names. */
export function mayChange(live: DerivedLower | undefined, inode: Inode): boolean {
  if (live === undefined || !isDerived(inode.ino)) return false;
  return inode.isUnrecorded || inode.isDirectory || inode.record.extentLayer === live.id;
}

/** A recorded directory is changed by whoever changes its names, on either side. */
function refreshTimes(live: DerivedLower, inode: Inode): void {
  let record: InodeRecord | undefined;
  try {
    record = live.inode(inode.ino);
  } catch (error) {
    // What the fork has recorded is there whatever became of the host.
    if (!isFsError(error)) throw error;
  }
  if (record === undefined || !isWrittenSince(record.mtimeSeconds, record.mtimeNanoseconds, inode.record))
    return;
  inode.record = { ...inode.record, ...written(record.mtimeSeconds, record.mtimeNanoseconds) };
}

function refreshAll(live: DerivedLower, inode: Inode): void {
  const record = live.inode(inode.ino);
  if (record === undefined)
    throw new FsError('ESTALE', { note: `the host has no inode ${inode.ino} any more` });
  const old = inode.record;
  const isSame =
    record.ctimeNanoseconds === old.ctimeNanoseconds &&
    record.ctimeSeconds === old.ctimeSeconds &&
    record.mtimeNanoseconds === old.mtimeNanoseconds &&
    record.mtimeSeconds === old.mtimeSeconds &&
    record.size === old.size &&
    record.blocks === old.blocks;
  // An access that only this process knows of is kept.
  if (isSame) return;
  inode.record = record;
  inode.xattrs = undefined;
  inode.mapping = undefined;
}

function refreshBytes(live: DerivedLower, inode: Inode): void {
  const file = live.hostFile(inode.ino);
  const record = file === undefined ? inode.record : recordNow(inode.record, file, inode.openCount > 0);
  if (record === inode.record) return;
  inode.record = record;
  inode.mapping = undefined;
}

/**
 * Adds to the batch what keeps a recorded inode reachable, whatever becomes of its name on the host: the names, up to
 * the root, under which the live layer has it, where no layer above has said something else of them.
 */
export function anchor(stack: LiveStack, live: DerivedLower, batch: Batch): void {
  // Directories that are added here are looked at in their turn.
  for (let index = 0; index < batch.inodes.length; index++) {
    const inode = batch.inodes[index]!;
    if (!inode.isUnrecorded) continue;
    const place = live.placeOf(inode.ino);
    if (place === undefined) continue;
    const directory = stack.inode(place.directory);
    const recorded = stack.recordedName(directory, place.name);
    if (recorded !== undefined && entryIno(recorded) !== inode.ino) continue;
    batch.change(directory);
    // The hint that leads from a file to its name.
    if (!inode.isDirectory) batch.change(inode).parent = directory.ino;
    batch.anchorName(directory, place.name, entryOf(inode.ino, kindOfMode(inode.record.mode)));
  }
}

/**
 * Copy-up of a file's bytes: from here on the file is what it is now, whatever becomes of the host file. Its ranges are
 * named (`ExternalFiles.name`), or taken over where the layer is pinned. Nothing happens where no live layer has them.
 * ESTALE, EROFS, ENOSPC; EBUSY when the file is being written to on the host all the time.
 */
export function copyUpBytes(stack: LiveStack, live: DerivedLower, inode: Inode, mustTake: boolean): void {
  const file = live.hostFile(inode.ino);
  if (file === undefined) return;
  stack.writable();
  const { fd, state } = file.open();
  try {
    const isTaken = file.isPinned || mustTake;
    const runs = isTaken
      ? takeBytes(stack, fd, file)
      : nameBytes(stack, fd, stack.blobs.externals.name(state), 0, state.sizeBytes);
    const batch = stack.begin();
    batch.setRuns(inode, [EVERYTHING, ...runs]);
    batch.change(inode).size = isTaken ? stack.system.statFile(fd).size : state.sizeBytes;
    stack.commit(batch);
  } finally {
    stack.system.close(fd);
  }
}

/** What a file lends to another. `release`, where there is one, is called when that has taken it, or has failed to. */
export interface Loan {
  readonly extents: ExtentMap;
  readonly release: (() => void) | undefined;
}

/** Blocks of a file. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

/**
 * The extents of a range that a file shares with one of `target`; nothing of it changes by that. What of them is the
 * host's is named, or copied into `target` where the layer is pinned, or with `mustTake`. ESTALE, ENOSPC, EBUSY.
 */
export function lend(
  stack: LendingStack,
  inode: Inode,
  range: BlockRange,
  target: LiveStack,
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
  const named = runs.filter(({ blob }) => isExternal(blob));
  if (named.length === 0) return asItIs;
  const active = target.activeBlob();
  const copied = copyNamed(active, mapping, dataRuns(stack.blobs, named));
  const others = runs.filter(({ blob }) => !isExternal(blob));
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

function lendByName(stack: LiveStack, inode: Inode, file: HostFile, { first, count }: BlockRange): Loan {
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

/** Makes the upper layer's own what the file has of host files that were copied up by name before. */
export function takeNamedBytes(stack: LiveStack, inode: Inode, mapping: Mapping): void {
  const named = [...mapping.extents].filter(({ blob }) => isExternal(blob));
  if (named.length === 0) return;
  const runs = copyNamed(stack.activeBlob(), mapping, dataRuns(stack.blobs, named));
  const batch = stack.begin();
  batch.setRuns(inode, [...named.map(holeOf), ...runs]);
  batch.change(inode);
  stack.commit(batch);
}

function holeOf({ logical, count }: Run): Run {
  return { ...EVERYTHING, logical, count };
}

/** Copies these runs of the file into the blob. The new runs come with their references. */
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

/** The data of a host file in `[start, end)` as runs of the blob that stands for it. `start` is that of a block. */
function nameBytes(stack: LiveStack, fd: number, blob: BlobId, start: number, end: number): Run[] {
  return dataSegments(seekCalls(stack, fd), end, start, SEGMENTS_MAX).map((segment) => {
    const logical = (segment.start / BLOCK_SIZE) as BlockIndex; // Segments begin at blocks.
    return { logical, count: blocksFor(segment.end) - logical, blob, physical: logical };
  });
}

function seekCalls({ system }: LiveStack, fd: number): SeekCalls {
  return {
    seekData: (position) => system.seekData(fd, position),
    seekHole: (position) => system.seekHole(fd, position),
  };
}

/** Puts the bytes into the active blob, by reflink where the host can. The runs come with their references. */
function takeBytes(stack: LiveStack, fd: number, file: HostFile): Run[] {
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
    const isSame =
      before.size === after.size &&
      before.mtime.seconds === after.mtime.seconds &&
      before.mtime.nanoseconds === after.mtime.nanoseconds;
    if (isSame) return runs;
    giveBack(active, runs);
    file.forget();
    if (attempt === COPY_ATTEMPTS) throw beingWritten();
  }
}

function giveBack(active: ActiveBlob, runs: readonly Run[]): void {
  for (const { physical, count } of runs) active.dropRefs(physical, count);
}

function takeSegment(
  stack: LiveStack,
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
    // Bytes behind the end of the file are zeros.
    piece.fill(0, got, length);
    active.write(physical * BLOCK_SIZE + done, piece, 0, length);
    done += length;
  }
}
