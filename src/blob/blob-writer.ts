/**
 * Writes a new blob from start to end, for import: small files packed one after another (`append`), or one large
 * file in a blob of its own, where the place in the file is the place in the blob (`appendStream`, `skip`). Sums are
 * computed on the way, so that the blob is sealed when it is finished.
 *
 * Invariants: `buffer` holds what comes at `flushedBlocks`, always a block boundary; packed blobs are whole blocks
 * with zeroed tails; a blob of its own ends at the file's last byte.
 */
import { assert, BLOCK_SIZE, type BlobId, type BlockIndex, blocksFor } from '../base/index.ts';
import type { BlobFile } from './blob-file.ts';
import { type BlobSpace, CHUNK_BYTES } from './blob-space.ts';
import { BlockSums } from './block-sums.ts';
import type { Sealing } from './sealing.ts';

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
  private readonly buffer: Buffer;
  private bufferedBytes = 0;
  private flushedBlocks = 0;
  /** Where the last byte given ends; holes and padding after it are zeros. */
  private dataEndBytes = 0;
  /** Set when the content was cloned by the host: then its sums are read back instead of computed on the way. */
  private readBack: Sealing | undefined;
  private isOpen = true;

  private constructor(space: BlobSpace, id: BlobId, bufferBytes: number) {
    this.space = space;
    this.id = id;
    this.file = space.files.create(id);
    this.fd = space.files.pin(this.file);
    this.buffer = Buffer.allocUnsafeSlow(bufferBytes);
  }

  /** Makes the file of a new blob. EEXIST when there is one. */
  static create(space: BlobSpace, id: BlobId): BlobWriter {
    return new BlobWriter(space, id, CHUNK_BYTES);
  }

  /**
   * Makes a blob of its own whose content is that of the open file `source`, shared by the host (FICLONE): no byte
   * is copied. Its sums are then read back, in slices by `step` or all at once by `finish`. Undefined, and no blob
   * is left, where the host cannot clone.
   */
  static fromClone(space: BlobSpace, id: BlobId, source: number): BlobWriter | undefined {
    const writer = new BlobWriter(space, id, 0);
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

  /** Leaves a hole of `blocks` blocks, which takes no space and reads as zeros. Only at a block boundary. */
  skip(blocks: number): void {
    this.assertWritable();
    assert(blocks >= 0, 'a hole goes forward');
    assert(this.bufferedBytes % BLOCK_SIZE === 0, 'a hole starts at a block boundary');
    this.flush();
    this.computed.addHoles(blocks);
    this.flushedBlocks += blocks;
  }

  /** Reads back up to `blocksMax` blocks of a cloned blob. True when nothing is left but `finish`. */
  step(blocksMax: number): boolean {
    this.assertOpen();
    const { readBack } = this;
    if (readBack === undefined || readBack.remainingBlocks === 0) return true;
    readBack.step(blocksMax);
    return readBack.remainingBlocks === 0;
  }

  /**
   * Ends the blob: data durable, then sums; it is sealed afterwards. With `lengthBytes` the file ends there, where
   * a large file ends within a last block or a hole: not before the last byte given. On failure (EIO, ENOSPC) call
   * `abort`.
   */
  finish(options: { readonly lengthBytes?: number } = {}): FinishedBlob {
    this.assertOpen();
    const lengthBytes = options.lengthBytes ?? this.lengthBytes;
    assert(lengthBytes >= this.dataEndBytes, 'a blob does not end before its last byte');
    if (this.readBack !== undefined) {
      assert(lengthBytes === this.file.sizeBytes, 'a clone is as long as its source');
      this.readBack.finish();
    } else {
      const lengthBlocks = blocksFor(lengthBytes);
      this.flushLast();
      assert(lengthBlocks >= this.computed.count, 'a blob does not end before its last block');
      this.computed.addHoles(lengthBlocks - this.computed.count);
      this.space.system.truncate(this.fd, lengthBytes);
      this.space.files.refreshSize(this.file);
      this.space.finishSealing(this.id, this.computed);
    }
    this.release();
    return { lengthBlocks: blocksFor(lengthBytes), lengthBytes };
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
  }
}
