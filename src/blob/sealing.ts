/**
 * Sealing: computing the checksums of a blob that no one writes to any more, in slices, so that a background task
 * never holds the thread for long. About 3 µs a block in the page cache: 1,000 blocks are a slice of some 3 ms.
 */
import { assert, BLOCK_SIZE, type BlobId, blocksFor } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobFiles } from './blob-files.ts';
import { BlockSums } from './block-sums.ts';
import { shortBlob } from './damage.ts';
import { SCRATCH_BLOCKS } from './scratch.ts';
import type { SumsOfBlob } from './sum-file.ts';

/** What sealing needs of the BlobSpace that it works in. */
export interface SealingSpace {
  readonly system: System;
  readonly files: BlobFiles;
  /** At least 1 MiB, anyone's until the next call. */
  readonly scratch: Uint8Array;
  /** Makes the data durable, then the checksums. */
  finishSealing(blobs: readonly SumsOfBlob[]): void;
}

export class Sealing {
  private readonly space: SealingSpace;
  private readonly id: BlobId;
  private readonly lengthBlocks: number;
  readonly computed = new BlockSums();
  private isFinished = false;

  constructor(space: SealingSpace, id: BlobId, lengthBlocks: number) {
    this.space = space;
    this.id = id;
    this.lengthBlocks = lengthBlocks;
  }

  get isDone(): boolean {
    return this.isFinished;
  }

  /** Blocks whose checksum is still to be computed. */
  get remainingBlocks(): number {
    return this.lengthBlocks - this.computed.count;
  }

  /**
   * Does some of the work: at most `blocksMax` blocks are read, and the step after the last block syncs the data,
   * then the checksums (in this order: sums must never be newer than what they are of). True when all is done and
   * the blob is sealed. A failed step (EIO, ENOSPC) can be tried again; it goes on where it was.
   */
  step(blocksMax: number): boolean {
    assert(blocksMax > 0, 'a step does something');
    if (this.isFinished) return true;
    if (this.remainingBlocks === 0) {
      this.space.finishSealing([{ id: this.id, sums: this.computed }]);
      this.isFinished = true;
      return true;
    }
    let budget = blocksMax;
    while (budget > 0 && this.remainingBlocks > 0) budget -= this.readChunk(budget);
    return false;
  }

  /** All that is left, at once. */
  finish(): void {
    while (!this.step(SCRATCH_BLOCKS * 4));
  }

  /** Takes up to `blocksMax` blocks further; returns how many were read. A hole costs nothing. */
  private readChunk(blocksMax: number): number {
    const { system, scratch } = this.space;
    const file = this.space.files.of(this.id);
    const fd = this.space.files.descriptor(file);
    const start = this.computed.count;
    const position = start * BLOCK_SIZE;
    if (blocksFor(file.sizeBytes) < this.lengthBlocks) this.space.files.refreshSize(file);
    if (blocksFor(file.sizeBytes) < this.lengthBlocks)
      throw shortBlob(this.id, file.sizeBytes, this.lengthBlocks * BLOCK_SIZE);
    if (system.kind === 'native') {
      const data = system.seekData(fd, position);
      const holeEnd = data === undefined ? this.lengthBlocks : Math.floor(data / BLOCK_SIZE);
      if (holeEnd > start) {
        this.computed.addHoles(Math.min(holeEnd, this.lengthBlocks) - start);
        return 0;
      }
    }
    const count = Math.min(blocksMax, SCRATCH_BLOCKS, this.remainingBlocks);
    const length = count * BLOCK_SIZE;
    const got = system.pread(fd, scratch, 0, length, position);
    // Only the last block of the file may be cut short, by the end of a large file's own blob.
    if (blocksFor(got) < count) throw shortBlob(this.id, file.sizeBytes, position + length);
    scratch.fill(0, got, length);
    this.computed.addBlocks(scratch, length);
    return count;
  }
}
