/**
 * One inode's bytes. Reads follow the extent map into the blobs. A write overwrites a block in place if only this layer
 * has the block; everything else goes to fresh blocks of the active blob (copy on write).
 *
 * A write has two steps, so that the caller can journal it in between. `write` (and `cut`, `zero`, `fill`, `gather`)
 * puts the bytes into blocks and returns their runs. `install` then puts the runs into the file's extent map. Until
 * then nobody sees a change, except in blocks that are overwritten in place.
 *
 * Invariants: bytes of a mapped block after the end of the file are zero (fsck pass `tails`); a block is overwritten
 * in place only when it lies in the layer's active blob and has one reference there (fsck pass `references`).
 */
import {
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  isDiskFull,
  isFsError,
  type Run,
} from '../base/index.ts';
import type { ActiveBlob } from '../blob/index.ts';
import type { ExtentMap } from '../extent/index.ts';
import { FileMaps } from './file-maps.ts';
import type { PhysicalSpace } from './physical-space.ts';

/** A run with blob 0 makes a hole. This run covers any file, since no file has as many blocks. */
export const EVERYTHING: Run = {
  logical: 0 as BlockIndex,
  count: 2 ** 42,
  blob: 0 as BlobId,
  physical: 0 as BlockIndex,
};

const NOTHING: readonly Run[] = [];
const scratch = Buffer.alloc(BLOCK_SIZE);
const ZEROS = Buffer.alloc(64 * BLOCK_SIZE);

export class Mapping {
  readonly extents: ExtentMap;
  /** How many bytes the last `write` stored. */
  writtenBytes = 0;
  private readonly space: PhysicalSpace;
  private fileMaps: FileMaps | undefined;
  private readonly unmapListener: object;

  /** `unmapListener` is passed to `PhysicalSpace.onUnmapped` when the last memory map is gone. */
  constructor(space: PhysicalSpace, extents: ExtentMap, unmapListener: object = extents) {
    this.space = space;
    this.extents = extents;
    this.unmapListener = unmapListener;
  }

  /** The memory maps of the file. Made when first asked for, because most files are never mapped. */
  get maps(): FileMaps {
    this.fileMaps ??= new FileMaps(this.space, this.extents, this.unmapListener);
    return this.fileMaps;
  }

  get isMapped(): boolean {
    return this.fileMaps?.isMapped === true;
  }

  /** Ends every memory map of the file. */
  closeMaps(): void {
    this.fileMaps?.close();
  }

  /**
   * Reads `length` bytes from `position`; the range must end within the file. Returns false, and leaves undefined bytes
   * in `target`, when the read would have to wait for the disk and `mayWait` is false.
   */
  read(position: number, target: Uint8Array, offset: number, length: number, mayWait = true): boolean {
    const { extents } = this;
    const { blobs } = this.space;
    let at = position;
    let into = offset;
    let rest = length;
    while (rest > 0) {
      const block = Math.floor(at / BLOCK_SIZE);
      const within = at - block * BLOCK_SIZE;
      extents.locate(block);
      const bytes = Math.min(rest, extents.foundCount * BLOCK_SIZE - within);
      const from = extents.foundPhysical * BLOCK_SIZE + within;
      if (extents.foundBlob === 0) target.fill(0, into, into + bytes);
      else if (mayWait) blobs.read(extents.foundBlob, from, target, into, bytes);
      else if (!blobs.tryRead(extents.foundBlob, from, target, into, bytes)) return false;
      at += bytes;
      into += bytes;
      rest -= bytes;
    }
    return true;
  }

  /**
   * Puts the first bytes of the source into blocks, and sets `writtenBytes` to their number. Returns the runs to
   * journal and to `install`; none when all these blocks were overwritten in place. The caller installs the runs, then
   * calls again for the rest, because a block overwritten in place changes at once, and must not change before the
   * blocks that precede it. ENOSPC and EIO, but only if no byte was written.
   */
  write(
    position: number,
    source: Uint8Array,
    offset: number,
    length: number,
    mayGather = true,
  ): readonly Run[] {
    const active = this.space.activeBlob();
    const end = blocksFor(position + length);
    let runs: Run[] | undefined;
    let block = Math.floor(position / BLOCK_SIZE);
    this.writtenBytes = 0;
    try {
      for (let count = this.exclusiveRun(active, block, end - block); count > 0; ) {
        const from = Math.max(position, block * BLOCK_SIZE);
        const to = Math.min(position + length, (block + count) * BLOCK_SIZE);
        const physical = this.extents.foundPhysical * BLOCK_SIZE + from - block * BLOCK_SIZE;
        active.write(physical, source, offset + from - position, to - from);
        this.writtenBytes = to - position;
        block += count;
        count = this.exclusiveRun(active, block, end - block);
      }
      if (block === end) return NOTHING;
      let to = block + 1;
      while (to < end && this.exclusiveRun(active, to, 1) === 0) to++;
      runs = [];
      this.writeFresh(active, block, to, position, source, offset, length, runs, mayGather);
      const { logical, count } = runs[0]!;
      this.writtenBytes = Math.min(length, (logical + count) * BLOCK_SIZE - position);
      return runs;
    } catch (error) {
      if (runs !== undefined) this.abandon(runs);
      if (this.writtenBytes === 0 || !isFsError(error)) throw error;
      return NOTHING;
    }
  }

  /** Returns the runs that `make` adds; abandons them if `make` fails. `write` does the same without a closure. */
  private collect(make: (runs: Run[]) => void): readonly Run[] {
    const runs: Run[] = [];
    try {
      make(runs);
    } catch (error) {
      this.abandon(runs);
      throw error;
    }
    return runs;
  }

  /**
   * After a failed write: zeros the bytes of the last block after the end of the file, if the block may be overwritten
   * in place. Ignores errors: if the disk accepts neither the write nor the zeros, only recovery can zero them.
   */
  clearTail(sizeBytes: number): void {
    const within = sizeBytes % BLOCK_SIZE;
    if (within === 0) return;
    try {
      const active = this.space.activeBlob();
      if (this.exclusiveRun(active, blocksFor(sizeBytes) - 1, 1) === 0) return;
      active.write(this.extents.foundPhysical * BLOCK_SIZE + within, ZEROS, 0, BLOCK_SIZE - within);
    } catch (error) {
      if (!isFsError(error)) throw error;
    }
  }

  /** Gives back the references of runs that will not be installed. */
  abandon(runs: readonly Run[]): void {
    const { activeId } = this.space;
    for (const run of runs) {
      if (run.blob !== 0 && run.blob === activeId) this.space.activeBlob().dropRefs(run.physical, run.count);
    }
  }

  /** Takes references for runs of another file, before a reflink installs them. */
  share(runs: readonly Run[]): void {
    const { activeId } = this.space;
    for (const run of runs) {
      if (run.blob !== 0 && run.blob === activeId) this.space.activeBlob().addRefs(run.physical, run.count);
    }
  }

  /** How many blocks from `block`, at most `most`, may be overwritten in place. Leaves `extents` located at `block`. */
  private exclusiveRun(active: ActiveBlob, block: number, most: number): number {
    const extents = this.extents;
    if (most === 0) return 0;
    extents.locate(block);
    if (extents.foundBlob !== active.id) return 0;
    const limit = Math.min(most, extents.foundCount);
    let count = 0;
    while (count < limit && active.isExclusive((extents.foundPhysical + count) as BlockIndex)) count++;
    return count;
  }

  /**
   * Writes the blocks `[from, to)`, and the blocks that are gathered with them, to fresh blocks: new bytes where the
   * write covers a block, old bytes around them. Adds their run to `runs`.
   */
  private writeFresh(
    active: ActiveBlob,
    from: number,
    to: number,
    position: number,
    source: Uint8Array,
    offset: number,
    length: number,
    runs: Run[],
    mayGather: boolean,
  ): void {
    const isCrowded = mayGather && this.fileMaps?.wouldExceedShare() === true;
    const [first, end] = isCrowded ? this.maps.gatherRange(from, to) : [from, to];
    const physical = this.allocate(active, first, end - first, runs);
    const writeEnd = position + length;
    let block = first;
    while (block < end) {
      const start = block * BLOCK_SIZE;
      const at = (physical + block - first) * BLOCK_SIZE;
      if (start >= position && start + BLOCK_SIZE <= writeEnd) {
        const count = Math.min(end - block, Math.floor((writeEnd - start) / BLOCK_SIZE));
        active.write(at, source, offset + start - position, count * BLOCK_SIZE);
        block += count;
        continue;
      }
      this.read(start, scratch, 0, BLOCK_SIZE);
      const newFrom = Math.max(start, position);
      const newTo = Math.min(start + BLOCK_SIZE, writeEnd);
      if (newFrom < newTo) {
        scratch.set(source.subarray(offset + newFrom - position, offset + newTo - position), newFrom - start);
      }
      active.write(at, scratch, 0, BLOCK_SIZE);
      block++;
    }
  }

  /** Allocates blocks. On a full disk, makes a commit mark, so that blocks freed since the last mark can be used. */
  private takeBlocks(active: ActiveBlob, count: number): BlockIndex {
    try {
      return active.allocate(count);
    } catch (error) {
      if (!isDiskFull(error) || active.pendingBlocks === 0) throw error;
      this.space.commitMark();
      return active.allocate(count);
    }
  }

  /** Allocates fresh blocks for `[logical, logical + count)` and adds their run to `runs`. */
  private allocate(active: ActiveBlob, logical: number, count: number, runs: Run[]): number {
    const physical = this.takeBlocks(active, count);
    runs.push({ logical: logical as BlockIndex, count, blob: active.id, physical: physical as BlockIndex });
    return physical;
  }

  /**
   * Copies each region of `regionBlocks` blocks that lies in several runs into one run, so that the file has few enough
   * runs to be mapped. Returns the runs to journal and install; none when nothing can be gathered.
   */
  gather(sizeBytes: number, regionBlocks: number): readonly Run[] {
    const active = this.space.activeBlob();
    const end = blocksFor(sizeBytes);
    const buffer = Buffer.allocUnsafe(regionBlocks * BLOCK_SIZE);
    return this.collect((runs) => {
      for (let first = 0; first < end; first += regionBlocks) {
        const count = Math.min(regionBlocks, end - first);
        let pieces = 0;
        this.extents.forEachPiece(first, first + count, () => pieces++);
        if (pieces < 2) continue;
        this.read(first * BLOCK_SIZE, buffer, 0, count * BLOCK_SIZE);
        const physical = this.allocate(active, first, count, runs);
        active.write(physical * BLOCK_SIZE, buffer, 0, count * BLOCK_SIZE);
        this.space.budget.gatheredBlocks += count;
      }
    });
  }

  /** The runs that make the file end at `sizeBytes`: a hole from there on, and a last block with a tail of zeros. */
  cut(sizeBytes: number): readonly Run[] {
    const end = blocksFor(sizeBytes);
    const within = sizeBytes % BLOCK_SIZE;
    return this.collect((runs) => {
      if (within > 0 && this.hasBlock(end - 1)) {
        this.read((end - 1) * BLOCK_SIZE, scratch, 0, BLOCK_SIZE);
        scratch.fill(0, within);
        const active = this.space.activeBlob();
        const physical = this.allocate(active, end - 1, 1, runs);
        active.write(physical * BLOCK_SIZE, scratch, 0, BLOCK_SIZE);
      }
      runs.push({ ...EVERYTHING, logical: end as BlockIndex });
    });
  }

  /** The runs that make `[position, position + length)` read as zeros: holes for whole blocks, zeros at the edges. */
  zero(position: number, length: number, sizeBytes: number): readonly Run[] {
    const to = Math.min(position + length, sizeBytes);
    if (to <= position) return NOTHING;
    const firstWhole = blocksFor(position);
    // The last block of the file may be dropped whole: after the end there are only zeros.
    const endWhole = to === sizeBytes ? blocksFor(to) : Math.floor(to / BLOCK_SIZE);
    return this.collect((runs) => {
      // Write zeros instead of a small hole, which would be one more piece of a map that already has too many.
      if (this.fileMaps?.wouldExceedShare() === true && to - position <= ZEROS.length) {
        const first = Math.floor(position / BLOCK_SIZE);
        this.writeFresh(
          this.space.activeBlob(),
          first,
          blocksFor(to),
          position,
          ZEROS,
          0,
          to - position,
          runs,
          true,
        );
        return;
      }
      if (firstWhole > endWhole) {
        runs.push(...this.zeroEdge(position, to));
        return;
      }
      runs.push(...this.zeroEdge(position, Math.min(to, firstWhole * BLOCK_SIZE)));
      if (endWhole > firstWhole) {
        runs.push({ ...EVERYTHING, logical: firstWhole as BlockIndex, count: endWhole - firstWhole });
      }
      runs.push(...this.zeroEdge(endWhole * BLOCK_SIZE, to));
    });
  }

  private zeroEdge(from: number, to: number): readonly Run[] {
    if (to <= from || !this.hasBlock(Math.floor(from / BLOCK_SIZE))) return NOTHING;
    return this.write(from, ZEROS, 0, to - from, false);
  }

  /** True if the block has data; false if it lies in a hole. */
  private hasBlock(block: number): boolean {
    this.extents.locate(block);
    return this.extents.foundBlob !== 0;
  }

  /** Puts zeroed blocks into every hole of `[position, position + length)`, so that a later write there has space. */
  fill(position: number, length: number): readonly Run[] {
    const active = this.space.activeBlob();
    const first = Math.floor(position / BLOCK_SIZE);
    return this.collect((runs) => {
      this.extents.forEachPiece(first, blocksFor(position + length), (logical, count, blob) => {
        if (blob !== 0) return;
        const physical = this.allocate(active, logical, count, runs);
        for (let done = 0; done < count; done += ZEROS.length / BLOCK_SIZE) {
          const blocks = Math.min(ZEROS.length / BLOCK_SIZE, count - done);
          active.write((physical + done) * BLOCK_SIZE, ZEROS, 0, blocks * BLOCK_SIZE);
        }
      });
    });
  }

  /**
   * Puts `runs` into the file's extent map, and re-maps the changed blocks in every live view. The blocks of `runs` in
   * the active blob already have their references (from `write`, `share` and the like). Blocks of the active blob that
   * `runs` replace lose a reference.
   */
  install(runs: readonly Run[]): void {
    if (runs.length === 0) return;
    const activeId = this.space.activeId;
    const active = activeId === 0 ? undefined : this.space.activeBlob();
    const dropped = (blob: BlobId, physical: BlockIndex, count: number): void => {
      if (active !== undefined && blob === activeId) active.dropRefs(physical, count);
    };
    for (const run of runs) {
      if (run.blob === 0) this.extents.clear(run.logical, run.count, dropped);
      else this.extents.set(run.logical, run.count, run.blob, run.physical, dropped);
    }
    this.fileMaps?.restitch(runs);
  }

  /**
   * Makes the extent map and every live view follow the file's rows, which now name other blocks with the same bytes.
   * Returns false, and changes nothing, when the process has no mappings left for the views.
   */
  follow(runs: readonly Run[]): boolean {
    const changed = this.differing(runs);
    if (!this.maps.hasRoom(2 * changed.length)) return false;
    this.install(changed);
    this.extents.clearDirty();
    return true;
  }

  /** The pieces of `runs` that differ from the extent map. */
  private differing(runs: readonly Run[]): Run[] {
    const differing: Run[] = [];
    for (const run of runs) {
      this.extents.forEachPiece(run.logical, run.logical + run.count, (logical, count, blob, physical) => {
        const wanted = (run.physical + logical - run.logical) as BlockIndex; // The run's block for `logical`.
        if (blob !== run.blob || physical !== wanted)
          differing.push({ logical, count, blob: run.blob, physical: wanted });
      });
    }
    return differing;
  }

  /**
   * Reads every block once, which verifies its checksum; for `map` with the option `verify`. EIO names the bad block.
   */
  verify(sizeBytes: number): void {
    const buffer = Buffer.allocUnsafe(256 * BLOCK_SIZE);
    for (let at = 0; at < sizeBytes; at += buffer.length) {
      this.read(at, buffer, 0, Math.min(buffer.length, sizeBytes - at));
    }
  }
}
