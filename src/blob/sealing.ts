/**
 * Computes the checksums of a blob that nobody writes to any more, in slices, so that a background task never holds the
 * thread for long. A block in the page cache takes about 3 µs, so a slice of 1,000 blocks takes 3 ms.
 */
import { assert, BLOCK_SIZE, type BlobId, blocksFor } from '../base/index.ts';
import type { BlobSpace } from './blob-space.ts';
import { BlockSums } from './block-sums.ts';
import { shortBlob } from './damage.ts';
import { SCRATCH_BLOCKS } from './scratch.ts';

export class Sealing {
  private readonly space: BlobSpace;
  private readonly id: BlobId;
  private readonly lengthBlocks: number;
  readonly computed = new BlockSums();
  private isFinished = false;

  constructor(space: BlobSpace, id: BlobId, lengthBlocks: number) {
    this.space = space;
    this.id = id;
    this.lengthBlocks = lengthBlocks;
  }

  /** Blocks whose checksums are not computed yet. */
  get remainingBlocks(): number {
    return this.lengthBlocks - this.computed.count;
  }

  /**
   * Reads at most `blocksMax` blocks. The call after the last block syncs the data and then the checksums, in this
   * order because no checksum may become durable before its block, and returns true: the blob is sealed. A failed step
   * (EIO, ENOSPC) can be tried again, and continues where it failed.
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

  /** Computes the checksums of up to `blocksMax` blocks; returns how many it read. Holes are not read. */
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
    // Only the last block may be shorter: the blob of a large file ends where the file ends.
    if (blocksFor(got) < count) throw shortBlob(this.id, file.sizeBytes, position + length);
    scratch.fill(0, got, length);
    this.computed.addBlocks(scratch, length);
    return count;
  }
}
