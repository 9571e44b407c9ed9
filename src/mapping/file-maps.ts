/**
 * Makes the memory maps of one file, re-maps them when the file changes, and keeps them within the budget of mappings.
 */
import { BLOCK_SIZE, blocksFor, FsError, isFsError, type Run } from '../base/index.ts';
import type { ExtentMap } from '../extent/index.ts';
import type { PhysicalSpace } from './physical-space.ts';
import { MappedRange, View } from './view.ts';

/** How many blocks are copied into one run when a map has more pieces than its share. */
const GATHER_BLOCKS = 64;

export class FileMaps {
  /** The argument for `PhysicalSpace.onUnmapped` when the last view ends. */
  private readonly unmapListener: object;
  private readonly space: PhysicalSpace;
  private readonly extents: ExtentMap;
  private readonly ranges = new Set<MappedRange>();

  constructor(space: PhysicalSpace, extents: ExtentMap, unmapListener: object) {
    this.unmapListener = unmapListener;
    this.space = space;
    this.extents = extents;
  }

  get isMapped(): boolean {
    return this.ranges.size > 0;
  }

  /**
   * Maps the file. ENOMEM when that would need too many mappings (see `Mapping.gather`), ENOTSUP where the platform
   * has no mmap.
   */
  map(sizeBytes: number, reserveBytes: number): View {
    const { system, budget } = this.space;
    const reserved = Math.max(1, blocksFor(Math.max(sizeBytes, reserveBytes))) * BLOCK_SIZE;
    if (!this.canMap(reserved)) {
      const note = 'the file has too many pieces for the process budget of mappings';
      throw new FsError('ENOMEM', { syscall: 'map', note });
    }
    const range = new MappedRange(system, budget, reserved);
    try {
      range.stitch(this.extents, this.space.blobs, 0, reserved / BLOCK_SIZE);
    } catch (error) {
      range.unmap();
      throw error;
    }
    range.setPieces(this.pieceCount(reserved));
    this.ranges.add(range);
    return new View(system, range, Math.max(sizeBytes, reserveBytes), () => this.forget(range));
  }

  /** True when a new view of `reservedBytes` would stay within its share of the budget. */
  canMap(reservedBytes: number): boolean {
    return this.pieceCount(reservedBytes) <= Math.max(1, this.space.budget.shareOf(0));
  }

  private forget(range: MappedRange): void {
    if (this.ranges.delete(range) && this.ranges.size === 0) this.space.onUnmapped?.(this.unmapListener);
  }

  /** Ends every memory map of the file. Call this before the tree is closed, because its blocks may then be reused. */
  close(): void {
    for (const range of [...this.ranges]) {
      this.forget(range);
      range.close();
    }
  }

  /** Re-maps the blocks of `runs`, which were just installed, in every view. */
  restitch(runs: readonly Run[]): void {
    for (const range of this.ranges) {
      for (const run of runs) {
        range.stitch(this.extents, this.space.blobs, run.logical, run.logical + run.count);
      }
      range.setPieces(this.pieceCount(range.reservedBytes));
    }
  }

  /** How many kernel mappings a view of this file is made of, at most. */
  private pieceCount(reservedBytes: number): number {
    const { blockCount, runCount } = this.extents;
    return blockCount * BLOCK_SIZE >= reservedBytes ? runCount : 2 * runCount + 1;
  }

  /**
   * True when splitting one more run would take a view of this file over its share of the budget. ENOMEM, before
   * anything is changed, when the budget has no mappings left for that.
   */
  wouldExceedShare(): boolean {
    if (this.ranges.size === 0) return false;
    const { budget } = this.space;
    this.requireRoom(2);
    for (const range of this.ranges) {
      if (this.pieceCount(range.reservedBytes) + 2 > budget.shareOf(range.pieceCount)) return true;
    }
    return false;
  }

  /** True when each view of this file can get `extraPieces` more. */
  hasRoom(extraPieces: number): boolean {
    return this.ranges.size === 0 || this.space.budget.fits(extraPieces * this.ranges.size);
  }

  /** ENOMEM unless `hasRoom`. */
  requireRoom(extraPieces: number): void {
    if (this.hasRoom(extraPieces)) return;
    const note = 'the process has no mappings left for the maps of this file';
    throw new FsError('ENOMEM', { syscall: 'write', note });
  }

  /** The range of blocks around `[from, to)` to copy into one run, as [first, end]; `end` is exclusive. */
  gatherRange(from: number, to: number): [number, number] {
    const first = Math.floor(from / GATHER_BLOCKS) * GATHER_BLOCKS;
    // Do not allocate blocks after the last block of the file.
    const end = Math.min(Math.ceil(to / GATHER_BLOCKS) * GATHER_BLOCKS, Math.max(to, this.extents.endBlock));
    this.space.budget.gatheredBlocks += end - first - (to - from);
    return [first, end];
  }
}

/** Turns ENOSPC and EROFS of a gather into ENOMEM: nothing was changed, and the map cannot be made. */
export function asOutOfMappings(error: unknown): unknown {
  if (!isFsError(error, 'ENOSPC') && !isFsError(error, 'EROFS')) return error;
  return new FsError('ENOMEM', { syscall: 'map', note: 'no room to copy the pieces of the file together' });
}
