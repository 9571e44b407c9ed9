/**
 * Writes a new blob from start to end, for import: small files packed one after another (`append`), or one large
 * file in a blob of its own, where the place in the file is the place in the blob (`appendPiece`, `skip`). Sums are
 * computed on the way, so that the blob is sealed when it is finished.
 *
 * Invariants: `buffer` holds what comes at `flushedBlocks`, always a block boundary; packed blobs are whole blocks
 * with zeroed tails; a blob of its own ends at the file's last byte.
 */
import { assert, BLOCK_SIZE, type BlobId, type BlockIndex, blocksFor } from '../base/index.ts';
import type { BlobFile } from './blob-file.ts';
import type { BlobSpace } from './blob-space.ts';
import { BlockSums } from './block-sums.ts';
import { SCRATCH_BYTES } from './scratch.ts';
import type { Sealing } from './sealing.ts';

/** Blocks of a clone that are read back at once. */
const BACK_BLOCKS = 1024;

export interface FinishedBlob {
  readonly lengthBlocks: number;
  readonly lengthBytes: number;
}

export class BlobWriter {
  readonly id: BlobId;
  private readonly space: BlobSpace;
  private readonly file: BlobFile;
  private readonly fd: number;
  private readonly computed = new BlockSums();
  /** Made when bytes are first gathered: pieces and clones need none. */
  private buffer = Buffer.alloc(0);
  private bufferedBytes = 0;
  private flushedBlocks = 0;
  /** Where the last byte given ends; holes and padding after it are zeros. */
  private dataEndBytes = 0;
  /** Set when the content was cloned by the host: then its sums are read back instead of computed on the way. */
  private readBack: Sealing | undefined;
  private isOpen = true;
  private isComplete = false;
  /** What was flushed ends with a whole block. */
  private isWhole = true;

  private constructor(space: BlobSpace, id: BlobId) {
    this.space = space;
    this.id = id;
    this.file = space.files.create(id);
    this.fd = space.files.pin(this.file);
  }

  /** Makes the file of a new blob. EEXIST when there is one. */
  static create(space: BlobSpace, id: BlobId): BlobWriter {
    return new BlobWriter(space, id);
  }

  /**
   * Makes a blob of its own whose content is that of the open file `source`, shared by the host (FICLONE): no byte
   * is copied. Its sums are then read back, in slices by `step` or all at once by `finish`. Undefined, and no blob
   * is left, where the host cannot clone.
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
      writer.readBack = space.writeSums(id, blocksFor(writer.file.sizeBytes));
      return writer;
    } catch (error) {
      writer.abort();
      throw error;
    }
  }

  /** Bytes so far; a multiple of 4,096 after `append` and `skip`. */
  get lengthBytes(): number {
    if (this.readBack !== undefined) return this.file.sizeBytes;
    return this.flushedBlocks * BLOCK_SIZE + this.bufferedBytes;
  }

  get lengthBlocks(): number {
    return blocksFor(this.lengthBytes);
  }

  /**
   * Packs the first `length` bytes of `bytes`, a whole small file, at the next block boundary, and fills its last
   * block up with zeros. Returns the block it starts at.
   */
  append(bytes: Uint8Array, length: number): BlockIndex {
    assert(length > 0, 'an empty file takes no block');
    assert(this.bufferedBytes % BLOCK_SIZE === 0, 'packing starts at a block boundary');
    const start = this.lengthBytes / BLOCK_SIZE;
    this.appendStream(bytes, 0, length);
    this.padToBlock();
    return start as BlockIndex; // A place in this blob, counted in blocks from its start.
  }

  /** Adds bytes right after the last ones: a piece of the one file that the blob is for. */
  appendStream(bytes: Uint8Array, offset: number, length: number): void {
    this.assertWritable();
    assert(offset >= 0 && length >= 0 && offset + length <= bytes.length, 'the piece lies inside its array');
    if (this.buffer.length === 0) this.buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
    let done = 0;
    while (done < length) {
      const count = Math.min(length - done, this.buffer.length - this.bufferedBytes);
      const from = offset + done;
      this.buffer.set(bytes.subarray(from, from + count), this.bufferedBytes);
      this.bufferedBytes += count;
      done += count;
      if (this.bufferedBytes === this.buffer.length) this.flush();
    }
    if (length > 0) this.dataEndBytes = this.lengthBytes;
  }

  /**
   * Adds the first `length` bytes of `bytes` as `appendStream` does, but from where they are, while the caller goes on:
   * until the promise resolves they must not change, and the writer must not be used. Only the last piece ends
   * within a block.
   */
  appendPiece(bytes: Uint8Array, length: number): Promise<void> {
    this.assertWritable();
    this.flush();
    assert(this.isWhole, 'a piece follows whole blocks');
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

  /** Leaves a hole of `blocks` blocks, which takes no space and reads as zeros. Only at a block boundary. */
  skip(blocks: number): void {
    this.assertWritable();
    assert(blocks >= 0, 'a hole goes forward');
    assert(this.bufferedBytes % BLOCK_SIZE === 0, 'a hole starts at a block boundary');
    this.flush();
    this.computed.addHoles(blocks);
    this.flushedBlocks += blocks;
  }

  /** Reads back up to `blocksMax` blocks of a cloned blob. True when none is left. */
  step(blocksMax: number): boolean {
    this.assertOpen();
    const { readBack } = this;
    if (readBack === undefined || readBack.remainingBlocks === 0) return true;
    readBack.step(blocksMax);
    return readBack.remainingBlocks === 0;
  }

  /**
   * The blob ends at `lengthBytes`, where a large file ends within a last block or a hole: not before the last byte
   * given. Its bytes are written afterwards, nothing is added any more, and every checksum is known.
   */
  complete(lengthBytes: number): void {
    this.assertOpen();
    assert(!this.isComplete, 'a blob is completed once');
    assert(lengthBytes >= this.dataEndBytes, 'a blob does not end before its last byte');
    if (this.readBack !== undefined) {
      assert(lengthBytes === this.file.sizeBytes, 'a clone is as long as its source');
      while (!this.step(BACK_BLOCKS));
    } else {
      this.flushLast();
      const holes = blocksFor(lengthBytes) - this.computed.count;
      assert(holes >= 0, 'a blob does not end before its last block');
      this.computed.addHoles(holes);
      this.space.system.truncate(this.fd, lengthBytes);
      this.space.files.refreshSize(this.file);
    }
    this.isComplete = true;
  }

  /** The checksums of all blocks; after `complete`. */
  get sums(): BlockSums {
    return this.readBack?.computed ?? this.computed;
  }

  /** Makes the data durable while the caller goes on, so that `finish` has little left to wait for. */
  sync(): Promise<void> {
    this.assertOpen();
    return this.space.system.dataSyncAsync(this.fd);
  }

  /**
   * Ends the blob, where its data ends unless it is complete: it is sealed afterwards. On failure (EIO, ENOSPC) call
   * `abort`.
   */
  finish(): FinishedBlob {
    if (!this.isComplete) this.complete(this.lengthBytes);
    const lengthBytes = this.file.sizeBytes;
    BlobWriter.finishAll([this]);
    return { lengthBlocks: blocksFor(lengthBytes), lengthBytes };
  }

  /**
   * Ends several blobs that are complete: data durable, then sums. Much cheaper than one by one, since the host
   * writes its own journal once for all of them. On failure (EIO, ENOSPC) call `abort` of each.
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

  private padToBlock(): void {
    const rest = this.bufferedBytes % BLOCK_SIZE;
    if (rest === 0) return;
    const end = this.bufferedBytes + BLOCK_SIZE - rest;
    this.buffer.fill(0, this.bufferedBytes, end);
    this.bufferedBytes = end;
    if (end === this.buffer.length) this.flush();
  }

  /** Writes the buffer, whole blocks. */
  private flush(): void {
    this.writeBuffer(this.bufferedBytes);
  }

  /** Writes the rest of a file's own blob: the sum is of the block filled up, the file ends at its last byte. */
  private flushLast(): void {
    const lengthBytes = this.bufferedBytes;
    const end = blocksFor(lengthBytes) * BLOCK_SIZE;
    this.buffer.fill(0, lengthBytes, end);
    this.bufferedBytes = end;
    this.writeBuffer(lengthBytes);
  }

  private writeBuffer(writtenBytes: number): void {
    if (this.bufferedBytes === 0) return;
    const { space, file, buffer, fd } = this;
    const position = this.flushedBlocks * BLOCK_SIZE;
    space.system.pwrite(fd, buffer, 0, writtenBytes, position);
    // The blob is synced when it is finished: by then the disk has most of it.
    space.system.startWriteback(fd, position, writtenBytes);
    this.computed.addBlocks(buffer, this.bufferedBytes);
    const blocks = this.bufferedBytes / BLOCK_SIZE;
    file.setSize(position + writtenBytes);
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
  }
}
