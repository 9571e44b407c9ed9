/**
 * The blob of one large file while it is written. Data and holes have the same offsets in the blob as in the file. The
 * builder of a layer writes the blob, completes it, and then seals it together with others.
 */
import { assert, BLOCK_SIZE, type BlobId } from '../base/index.ts';
import { type BlobSpace, BlobWriter, sumBytes } from '../blob/index.ts';
import type { System } from '../sys/index.ts';

/** The builder of a layer, which learns here how its blobs ended. */
export interface OwnBlobOwner {
  /** The blob is complete and waits to be sealed. */
  completed(own: OwnBlob): void;
  /** The blob was given up. */
  aborted(own: OwnBlob): void;
}

export class OwnBlob {
  readonly id: BlobId;
  private readonly blobs: BlobSpace;
  private readonly system: System;
  private readonly owner: OwnBlobOwner;
  private writer: BlobWriter | undefined;
  private state: 'written' | 'complete' | 'ended' = 'written';

  constructor(blobs: BlobSpace, system: System, id: BlobId, owner: OwnBlobOwner) {
    this.blobs = blobs;
    this.system = system;
    this.id = id;
    this.owner = owner;
  }

  private open(): BlobWriter {
    assert(this.state === 'written', 'a complete blob is not written');
    this.writer ??= BlobWriter.create(this.blobs, this.id);
    return this.writer;
  }

  /** Takes the whole content of an open file by reflink. Returns false, and does nothing, if the host cannot. */
  cloneFrom(source: number): boolean {
    assert(this.writer === undefined && this.state === 'written', 'a clone is the first content of its blob');
    this.writer = BlobWriter.fromClone(this.blobs, this.id, source);
    return this.writer !== undefined;
  }

  /** Length so far, in bytes, or the length of the clone. */
  get lengthBytes(): number {
    return this.writer?.lengthBytes ?? 0;
  }

  /** lseek(2), SEEK_DATA, on a clone. */
  seekData(position: number): number | undefined {
    return this.system.seekData(this.blobs.descriptor(this.id), position);
  }

  seekHole(position: number): number | undefined {
    return this.system.seekHole(this.blobs.descriptor(this.id), position);
  }

  read(target: Uint8Array, length: number, position: number): void {
    this.blobs.read(this.id, position, target, 0, length);
  }

  /** Reads up to `blocksMax` blocks of a clone for their checksums. Returns true when no block is left. */
  step(blocksMax: number): boolean {
    return this.open().step(blocksMax);
  }

  /**
   * Appends a piece in the background. Until the promise resolves, the bytes must not change, and the caller must call
   * no other method of this blob.
   */
  append(bytes: Uint8Array, length: number): Promise<void> {
    return this.open().appendPiece(bytes, length);
  }

  /** Leaves a hole of whole blocks from the end up to `position`. */
  skipTo(position: number): void {
    const writer = this.open();
    const blocks = (position - writer.lengthBytes) / BLOCK_SIZE;
    assert(Number.isInteger(blocks) && blocks >= 0, 'a hole is whole blocks after the last data');
    if (blocks > 0) writer.skip(blocks);
  }

  /** Ends the content at `lengthBytes`, with a hole if the data ends before. After this nothing may be added. */
  complete(lengthBytes: number): void {
    this.open().complete(lengthBytes);
    this.state = 'complete';
  }

  /** The checksums of all blocks, in the form that is stored. */
  sums(): Buffer {
    const { sums, count } = this.completeWriter().sums;
    return sumBytes(sums, count);
  }

  /** Frees blocks of the complete blob that the file takes from another blob instead. */
  punch(block: number, count: number): void {
    this.completeWriter();
    this.blobs.punch(this.id, block, count);
  }

  /** Hands the complete blob over to be sealed with the others of its layer. */
  finish(): void {
    this.completeWriter();
    this.owner.completed(this);
  }

  /** Gives up the blob. Does nothing if it was sealed or given up already. */
  abort(): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.writer?.abort();
    this.owner.aborted(this);
  }

  /** Makes the data of blobs durable in the background, so that sealing them takes little time. */
  static async syncAll(blobs: readonly OwnBlob[]): Promise<void> {
    const syncs = await Promise.allSettled(blobs.map((own) => own.completeWriter().sync()));
    for (const sync of syncs) if (sync.status === 'rejected') throw sync.reason;
  }

  static sealAll(blobs: readonly OwnBlob[]): void {
    BlobWriter.finishAll(blobs.map((own) => own.completeWriter()));
    for (const own of blobs) own.state = 'ended';
  }

  private completeWriter(): BlobWriter {
    assert(this.state === 'complete' && this.writer !== undefined, 'the blob is complete');
    return this.writer;
  }
}
