/**
 * The blob of one large file while it is written: offset 0 of the blob is offset 0 of the file, holes are
 * holes.
 */
import { assert, BLOCK_SIZE, type BlobId } from '../base/index.ts';
import { type BlobSpace, BlobWriter } from '../blob/index.ts';
import type { System } from '../sys/index.ts';

export class OwnBlob {
  readonly id: BlobId;
  private readonly blobs: BlobSpace;
  private readonly system: System;
  private readonly onEnd: (lengthBytes: number | undefined) => void;
  private writer: BlobWriter | undefined;
  private isEnded = false;

  /** `onEnd` is told the length of a finished blob, undefined for one that was given up. */
  constructor(
    blobs: BlobSpace,
    system: System,
    id: BlobId,
    onEnd: (lengthBytes: number | undefined) => void,
  ) {
    this.blobs = blobs;
    this.system = system;
    this.id = id;
    this.onEnd = onEnd;
  }

  private open(): BlobWriter {
    assert(!this.isEnded, 'an ended blob is not written');
    this.writer ??= BlobWriter.create(this.blobs, this.id);
    return this.writer;
  }

  /**
   * Takes the whole content of an open file by reflink. False, and nothing happened, where the host cannot.
   */
  cloneFrom(source: number): boolean {
    assert(this.writer === undefined && !this.isEnded, 'a clone is the first content of its blob');
    this.writer = BlobWriter.fromClone(this.blobs, this.id, source);
    return this.writer !== undefined;
  }

  /** Size so far, or of the clone. */
  get lengthBytes(): number {
    return this.writer?.lengthBytes ?? 0;
  }

  /** lseek(2) on a clone. */
  seekData(position: number): number | undefined {
    return this.system.seekData(this.blobs.descriptor(this.id), position);
  }

  seekHole(position: number): number | undefined {
    return this.system.seekHole(this.blobs.descriptor(this.id), position);
  }

  /** Reads a piece of a clone, to hash it. */
  readBack(target: Uint8Array, length: number, position: number): void {
    this.blobs.read(this.id, position, target, 0, length);
  }

  /** Adds the next piece, at the end of what is there. */
  append(bytes: Uint8Array, length: number): void {
    this.open().appendStream(bytes, 0, length);
  }

  /** Leaves a hole up to `position`, a whole number of blocks at or behind the end. */
  skipTo(position: number): void {
    const writer = this.open();
    const blocks = (position - writer.lengthBytes) / BLOCK_SIZE;
    assert(Number.isInteger(blocks) && blocks >= 0, 'a hole is whole blocks behind the last data');
    if (blocks > 0) writer.skip(blocks);
  }

  /**
   * Ends the blob at `lengthBytes`, behind a hole where the data ends before; it is durable and sealed
   * afterwards.
   */
  finish(lengthBytes: number): void {
    this.open().finish({ lengthBytes });
    this.isEnded = true;
    this.onEnd(lengthBytes);
  }

  /** Gives the blob up. Does nothing to one that has ended. */
  abort(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.writer?.abort();
    this.onEnd(undefined);
  }
}
