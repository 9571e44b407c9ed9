/**
 * Writes a new blob from start to end, for import: small files packed one after another (`append`), or one large file
 * in a blob of its own, where positions in the file are positions in the blob (`appendPiece`, `skip`). The writer
 * computes the checksums on the way (for a clone, by reading it back), so that `finish` can seal the blob.
 *
 * Invariants: `buffer` holds the whole blocks that follow the first `flushedBlocks`; zeros fill the last block of each
 * packed file; the blob of a large file ends at the file's last byte.
 */
import { assert, BLOCK_SIZE, type BlobId, type BlockIndex, blocksFor } from '../base/index.ts';
import type { BlobFile } from './blob-file.ts';
import type { BlobSpace } from './blob-space.ts';
import { BlockSums } from './block-sums.ts';
import { SCRATCH_BYTES } from './scratch.ts';
import { Sealing } from './sealing.ts';

/** How many blocks of a clone `complete` reads back at a time. */
const BACK_BLOCKS = 1024;

export class BlobWriter {
  readonly id: BlobId;
  private readonly space: BlobSpace;
  private readonly file: BlobFile;
  private readonly fd: number;
  private readonly computed = new BlockSums();
  /** The bytes of `append` that are not flushed yet. Has no memory until the first `append`. */
  private buffer = Buffer.alloc(0);
  private bufferedBytes = 0;
  private flushedBlocks = 0;
  /** Position after the last byte that the caller gave; what follows, holes and padding, is zeros. */
  private dataEndBytes = 0;
  /** Only for a clone: reads the blob back to compute its checksums. */
  private readBack: Sealing | undefined;
  private isOpen = true;
  private isComplete = false;
  /** False after a piece that ended within a block: then nothing can be added. */
  private isWhole = true;

  private constructor(space: BlobSpace, id: BlobId) {
    this.space = space;
    this.id = id;
    this.file = space.files.create(id);
    this.fd = space.files.pin(this.file);
  }

  /** Makes the file of a new blob. EEXIST if there is one already. */
  static create(space: BlobSpace, id: BlobId): BlobWriter {
    return new BlobWriter(space, id);
  }

  /**
   * Makes a blob that shares the content of the open file `source` (FICLONE): the host copies no byte. Afterwards
   * `step` or `complete` reads the blob back to compute its checksums. Returns undefined, and leaves no blob, if the
   * host cannot clone.
   */
  static fromClone(space: BlobSpace, id: BlobId, source: number): BlobWriter | undefined {
    const writer = new BlobWriter(space, id);
    try {
      if (!space.system.cloneFile(source, writer.fd)) {
        writer.abort();
        return undefined;
      }
      space.files.refreshSize(writer.file);
      writer.dataEndBytes = writer.file.sizeBytes;
      writer.readBack = new Sealing(space, id, blocksFor(writer.file.sizeBytes));
      return writer;
    } catch (error) {
      writer.abort();
      throw error;
    }
  }

  /** Length of the blob so far; a multiple of 4,096 after `append` and `skip`. */
  get lengthBytes(): number {
    if (this.readBack !== undefined) return this.file.sizeBytes;
    return this.flushedBlocks * BLOCK_SIZE + this.bufferedBytes;
  }

  /**
   * Packs the first `length` bytes of `bytes`, a whole small file, and fills its last block up with zeros. Returns the
   * file's first block.
   */
  append(bytes: Uint8Array, length: number): BlockIndex {
    this.assertWritable();
    assert(length > 0, 'an empty file takes no block');
    assert(length <= bytes.length, 'the file lies inside its array');
    if (this.buffer.length === 0) this.buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    const start = this.lengthBytes;
    for (let done = 0; done < length; ) {
      const count = Math.min(length - done, this.buffer.length - this.bufferedBytes);
      this.buffer.set(bytes.subarray(done, done + count), this.bufferedBytes);
      const end = this.bufferedBytes + count;
      this.bufferedBytes = blocksFor(end) * BLOCK_SIZE;
      this.buffer.fill(0, end, this.bufferedBytes);
      done += count;
      if (this.bufferedBytes === this.buffer.length) this.flush();
    }
    this.dataEndBytes = start + length;
    return (start / BLOCK_SIZE) as BlockIndex; // The cast: counted in blocks from the blob's start.
  }

  /**
   * Adds the first `length` bytes of `bytes` as the next piece of a large file, in the background. Until the promise
   * resolves, the caller must not change the bytes or call this writer. Only the last piece may end within a block.
   */
  appendPiece(bytes: Uint8Array, length: number): Promise<void> {
    this.assertWritable();
    this.flush();
    const { space, file, fd } = this;
    const start = this.flushedBlocks;
    const position = start * BLOCK_SIZE;
    const written = space.system.pwriteAsync(fd, bytes, 0, length, position);
    const rest = length % BLOCK_SIZE;
    this.computed.addBlocks(bytes, length - rest);
    if (rest > 0) {
      const last = new Uint8Array(BLOCK_SIZE);
      last.set(bytes.subarray(length - rest, length));
      this.computed.addBlocks(last, BLOCK_SIZE);
    }
    this.flushedBlocks += blocksFor(length);
    this.dataEndBytes = position + length;
    this.isWhole = rest === 0;
    return written.then(() => {
      space.system.startWriteback(fd, position, length);
      file.setSize(position + length);
      file.touched.setRange(start, start + blocksFor(length));
    });
  }

  /** Adds a hole of `blocks` blocks, which takes no space and reads as zeros. */
  skip(blocks: number): void {
    this.assertWritable();
    assert(blocks >= 0, 'a hole goes forward');
    this.flush();
    this.computed.addHoles(blocks);
    this.flushedBlocks += blocks;
  }

  /** Reads back up to `blocksMax` blocks of a clone. Returns true when no block is left to read. */
  step(blocksMax: number): boolean {
    this.assertOpen();
    const { readBack } = this;
    if (readBack === undefined || readBack.remainingBlocks === 0) return true;
    readBack.step(blocksMax);
    return readBack.remainingBlocks === 0;
  }

  /**
   * Ends the blob at `lengthBytes`, which lies at or after the end of the data: a large file may end within a block or
   * a hole. Writes all remaining bytes and computes all checksums. Nothing can be added afterwards.
   */
  complete(lengthBytes: number): void {
    this.assertOpen();
    assert(!this.isComplete, 'a blob is completed once');
    assert(lengthBytes >= this.dataEndBytes, 'a blob does not end before its last byte');
    if (this.readBack !== undefined) {
      assert(lengthBytes === this.file.sizeBytes, 'a clone is as long as its source');
      while (!this.step(BACK_BLOCKS));
    } else {
      this.flush();
      const holes = blocksFor(lengthBytes) - this.computed.count;
      assert(holes >= 0, 'a blob does not end before its last block');
      this.computed.addHoles(holes);
      this.space.system.truncate(this.fd, lengthBytes);
      this.space.files.refreshSize(this.file);
    }
    this.isComplete = true;
  }

  /** The checksums of all blocks. Call this after `complete`. */
  get sums(): BlockSums {
    return this.readBack?.computed ?? this.computed;
  }

  /** Makes the data durable in the background, so that `finish` has little left to wait for. */
  sync(): Promise<void> {
    this.assertOpen();
    return this.space.system.dataSyncAsync(this.fd);
  }

  /**
   * Seals the blob, and before that completes it at its present length if `complete` was not called. Returns the length
   * of the blob in bytes. On failure (EIO, ENOSPC) call `abort`.
   */
  finish(): number {
    if (!this.isComplete) this.complete(this.lengthBytes);
    BlobWriter.finishAll([this]);
    return this.file.sizeBytes;
  }

  /**
   * Seals several complete blobs: makes their data durable, then their checksums. This is much faster than to seal them
   * one by one, because the host writes its own journal once for all. On failure (EIO, ENOSPC) call `abort` of each.
   */
  static finishAll(writers: readonly BlobWriter[]): void {
    for (const writer of writers) {
      writer.assertOpen();
      assert(writer.isComplete, 'what is sealed is complete');
    }
    const [first] = writers;
    first?.space.finishSealing(writers.map(({ id, sums }) => ({ id, sums })));
    for (const writer of writers) writer.release();
  }

  /** Removes the unfinished blob. */
  abort(): void {
    if (!this.isOpen) return;
    this.release();
    this.space.unlink(this.id);
  }

  private flush(): void {
    if (this.bufferedBytes === 0) return;
    const { space, file, buffer, bufferedBytes, fd } = this;
    const position = this.flushedBlocks * BLOCK_SIZE;
    space.system.pwrite(fd, buffer, 0, bufferedBytes, position);
    // Start to write to disk now, so that the sync at the end has little left to write.
    space.system.startWriteback(fd, position, bufferedBytes);
    this.computed.addBlocks(buffer, bufferedBytes);
    const blocks = bufferedBytes / BLOCK_SIZE;
    file.setSize(position + bufferedBytes);
    file.touched.setRange(this.flushedBlocks, this.flushedBlocks + blocks);
    this.flushedBlocks += blocks;
    this.bufferedBytes = 0;
  }

  private release(): void {
    this.isOpen = false;
    this.space.files.unpin(this.file);
  }

  private assertOpen(): void {
    assert(this.isOpen, 'the blob is neither finished nor aborted');
  }

  private assertWritable(): void {
    this.assertOpen();
    assert(this.readBack === undefined, 'nothing is added to a clone');
    assert(!this.isComplete, 'nothing is added to a complete blob');
    assert(this.isWhole, 'nothing is added after a block that is not whole');
  }
}
