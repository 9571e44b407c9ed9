/**
 * Physical space: the bytes of all blobs, addressed by (blob id, position), and the files of the store's own blobs.
 *
 * A blob's number says where its bytes are; `bytesOf` picks the code that reads them (see `BlobBytes`).
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
  /** Number of blocks that reads of this process have compared with their checksums. */
  readonly blocksVerified: number;
}

export class BlobSpace {
  readonly system: System;
  readonly directory: string;
  /** The files of stored blobs. For this room only. */
  readonly files: BlobFiles;
  /** A buffer of 1 MiB that every call may overwrite, so nothing stays in it from one call to the next. */
  readonly scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Host files that forks refer to. */
  readonly externals: ExternalFiles;
  private readonly stored: StoredBytes;
  /** Work in the thread pool. Wait for it before you close the space. */
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

  // Bytes of any blob: see `BlobBytes`.

  /** The only place that tells the kinds of blobs apart. */
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

  /** One byte for each block: 1 if the block is in the page cache, otherwise 0. ENOTSUP if the system cannot map. */
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
   * For a read-only space: reads of a blob without checksums fail with ESTALE unless the st_ctime of its file is
   * `changedAt`. Pass undefined if there was no file: then all such reads fail.
   */
  expect(id: BlobId, changedAt: Timespec | undefined): void {
    this.stored.expect(id, changedAt);
  }

  // Files of stored blobs.

  /** A descriptor of the blob, for mapping and registering; valid until the next call for another blob. */
  descriptor(id: BlobId): number {
    // Host files are not mapped, because once somebody truncates a host file, access to a map of it raises SIGBUS.
    assert(this.isStored(id), 'only what is stored is mapped');
    return this.bytesOf(id).descriptor(id);
  }

  /** Makes a blob's data and name durable, after its writer died and may not have synced them. */
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

  /** Removes a blob and its checksums, if they exist. The blob must not be pinned. */
  unlink(id: BlobId): void {
    this.unlinkNames(id);
    this.release(id);
  }

  /** The first half of `unlink`: removes the names. The kernel keeps the space of an open file until `release`. */
  unlinkNames(id: BlobId): void {
    this.files.unlinkNames(id);
  }

  /** The second half of `unlink`: closes the file and unmaps its windows, which gives the space back. */
  release(id: BlobId): void {
    const file = this.files.of(id);
    this.files.release(id);
    this.stored.forget(file);
  }

  /**
   * Releases the blobs that another process has removed: an open file, or a window over it, would keep their space.
   * `isStored` says whether the tables have a row for a blob. A blob that is still being made has a file but no row.
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

  /** Bytes that the blob's file takes on the disk, without the checksum file. */
  allocatedBytes(id: BlobId): number {
    return this.system.fileSize(this.descriptor(id)).allocatedBytes;
  }

  /**
   * Gives the space of dead blocks back to the host. Afterwards they read as zeros; in a sealed blob, reading them
   * fails with EIO. False if the host cannot punch holes.
   */
  punch(id: BlobId, startBlock: number, count: number): boolean {
    const file = this.files.of(id);
    file.touched.clearRange(startBlock, startBlock + count);
    return this.files.punch(file, startBlock * BLOCK_SIZE, count * BLOCK_SIZE);
  }

  // Checksums of stored blobs.

  /**
   * Reads a range of live blocks from the file, compares them with their checksums, and reports each bad block. Returns
   * false, and reads nothing, if the blob is not sealed. EIO if the checksum file is damaged or the blob is missing.
   */
  verify(id: BlobId, startBlock: number, count: number, visitBad: VisitBad): boolean {
    return this.stored.verify(this.files.of(id), startBlock, count, visitBad);
  }

  /** Call this after this process or another one has stored or replaced the checksums of a blob. */
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
