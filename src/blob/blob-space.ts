/**
 * Physical space: the bytes of all blobs, by (blob id, position), and the files of those that are the store's own.
 *
 * A blob's number says where its bytes are. Only this file decides that: see `BlobBytes`.
 */
import { assert, BLOCK_SIZE, type BlobId, blocksFor, type Timespec } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobBytes } from './blob-bytes.ts';
import { BlobFiles, type BlobSpaceLimits } from './blob-files.ts';
import { ExternalFiles, isExternal } from './external-files.ts';
import { Fetches } from './fetches.ts';
import { SCRATCH_BYTES } from './scratch.ts';
import { StoredBytes, type VisitBad } from './stored-bytes.ts';
import { type SumsOfBlob, storeSums } from './sum-file.ts';

export interface BlobSpaceCounts {
  readonly openDescriptors: number;
  readonly windows: number;
  /** Blocks whose checksum was compared by reads of this process. */
  readonly blocksVerified: number;
}

export class BlobSpace {
  readonly system: System;
  readonly directory: string;
  /** For this room only. */
  readonly files: BlobFiles;
  /** 1 MiB that any call may use; nothing stays in it from one call to the next. */
  readonly scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Host files that forks refer to. */
  readonly externals: ExternalFiles;
  private readonly stored: StoredBytes;
  /** Work of the thread pool: wait for it before closing the space. */
  readonly fetches = new Fetches();

  constructor(system: System, directory: string, limits: BlobSpaceLimits = {}) {
    this.system = system;
    this.directory = directory;
    this.files = new BlobFiles(system, directory, limits);
    this.externals = new ExternalFiles(system);
    this.stored = new StoredBytes(this.files, limits, this.scratch);
  }

  get counts(): BlobSpaceCounts {
    return {
      openDescriptors: this.files.openCount,
      windows: this.stored.windowCount,
      blocksVerified: this.stored.blocksVerified,
    };
  }

  // Bytes, wherever they are: see `BlobBytes`.

  /** The one place that tells the kinds of blobs apart. */
  private bytesOf(id: BlobId): BlobBytes {
    return isExternal(id) ? this.externals : this.stored;
  }

  isStored(id: BlobId): boolean {
    return this.bytesOf(id).isStored;
  }

  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    this.bytesOf(id).read(id, position, target, offset, length);
  }

  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean {
    return this.bytesOf(id).tryRead(id, position, target, offset, length);
  }

  fetch(id: BlobId, position: number, length: number): Promise<void> {
    return this.fetches.add(this.bytesOf(id).fetch(id, position, length));
  }

  seekData(id: BlobId, position: number): number | undefined {
    return this.bytesOf(id).seekData(id, position);
  }

  seekHole(id: BlobId, position: number): number | undefined {
    return this.bytesOf(id).seekHole(id, position);
  }

  problem(id: BlobId): string | undefined {
    return this.bytesOf(id).problem(id);
  }

  /** Which blocks are in the page cache: one byte for each, 1 or 0. ENOTSUP where the system cannot map. */
  residentBlocks(id: BlobId, startBlock: number, count: number): Uint8Array {
    const length = count * BLOCK_SIZE;
    const address = this.system.mapWindow(this.bytesOf(id).descriptor(id), startBlock * BLOCK_SIZE, length);
    try {
      return this.system.residency(address, length).map((state) => state & 1);
    } finally {
      this.system.unmap(address, length);
    }
  }

  /**
   * In a space that is only read: a blob without checksums is read as long as its file was last changed at `changedAt`
   * (st_ctime); undefined where there was no file.
   */
  expect(id: BlobId, changedAt: Timespec | undefined): void {
    this.stored.expect(id, changedAt);
  }

  // Files of stored blobs.

  /** A descriptor of the blob, for mapping and registering; valid until the next call for another blob. */
  descriptor(id: BlobId): number {
    // Access to the map of a host file is SIGBUS once somebody truncates the file.
    assert(this.isStored(id), 'only what is stored is mapped');
    return this.bytesOf(id).descriptor(id);
  }

  /** Makes durable what a process that died has left: the data of a blob, and its name, which may not be durable. */
  syncFound(id: BlobId): void {
    const file = this.files.of(id);
    this.system.dataSync(this.files.descriptor(file));
    file.isNameDurable = false;
    this.files.syncName(file);
  }

  exists(id: BlobId): boolean {
    return this.files.exists(id);
  }

  /** Ids of all blob files present, in no order. */
  list(): BlobId[] {
    return this.files.list();
  }

  /** Removes a blob with its checksums, if it exists. It must not be pinned. */
  unlink(id: BlobId): void {
    this.unlinkNames(id);
    this.release(id);
  }

  /** The first half of `unlink`: removes the names. The kernel keeps the space of an open file until `release`. */
  unlinkNames(id: BlobId): void {
    this.files.unlinkNames(id);
  }

  /** The second half of `unlink`. */
  release(id: BlobId): void {
    const file = this.files.of(id);
    this.files.release(id);
    this.stored.forget(file);
  }

  /**
   * Lets go of the blobs that another process has removed: an open file, or a window over it, keeps its space.
   * `isStored` tells whether the tables have a row of a blob; one without a row may be in the making.
   */
  releaseRemoved(isStored: (id: BlobId) => boolean): void {
    for (const { id, pins } of this.files.known) {
      if (pins === 0 && !isStored(id) && !this.exists(id)) this.release(id);
    }
  }

  lengthBlocks(id: BlobId): number {
    return blocksFor(this.lengthBytes(id));
  }

  /** Current length of the blob's file. */
  lengthBytes(id: BlobId): number {
    const file = this.files.of(id);
    this.files.refreshSize(file);
    return file.sizeBytes;
  }

  /** Bytes that the blob takes on the disk, without its checksums. */
  allocatedBytes(id: BlobId): number {
    return this.system.fileSize(this.descriptor(id)).allocatedBytes;
  }

  /**
   * Gives the space of dead blocks back; they read as zeros, or as EIO in a sealed blob. False where the host cannot.
   */
  punch(id: BlobId, startBlock: number, count: number): boolean {
    const file = this.files.of(id);
    file.touched.clearRange(startBlock, startBlock + count);
    return this.files.punch(file, startBlock * BLOCK_SIZE, count * BLOCK_SIZE);
  }

  // Checksums of stored blobs.

  /**
   * Reads a range of live blocks from the file, compares them with their checksums, and reports each bad one. False,
   * with nothing read, when the blob is not sealed. EIO when the checksum file is damaged or the blob is missing.
   */
  verify(id: BlobId, startBlock: number, count: number, visitBad: VisitBad): boolean {
    return this.stored.verify(this.files.of(id), startBlock, count, visitBad);
  }

  /** Call this after the checksums of a blob were stored or replaced, here or by another process. */
  setSealed(id: BlobId): void {
    const file = this.files.of(id);
    file.sumState = 'unknown';
    file.sums = undefined;
  }

  /** For this room only: makes the data of blobs durable, then their checksums. */
  finishSealing(blobs: readonly SumsOfBlob[]): void {
    for (const { id } of blobs) this.system.dataSync(this.files.descriptor(this.files.of(id)));
    for (const { id } of blobs) this.files.syncName(this.files.of(id));
    storeSums(this.system, this.directory, blobs);
    for (const { id } of blobs) this.setSealed(id);
  }

  /** Unmaps every window and closes every descriptor. Later calls open them again. */
  close(): void {
    this.stored.close();
    this.externals.closeAll();
    this.files.close();
  }
}
