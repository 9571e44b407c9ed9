/**
 * Physical space: the bytes of all blobs, by (blob id, position), and the files of those that are the store's own.
 *
 * A blob's number says where its bytes are. Only this file decides that: see `BlobBytes`.
 */
import { assert, BLOCK_SIZE, type BlobId, blocksFor } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobBytes } from './blob-bytes.ts';
import { BlobFiles } from './blob-files.ts';
import { ExternalFiles, isExternal } from './external-files.ts';
import { Fetches } from './fetches.ts';
import { residentBlocks } from './residency.ts';
import { SCRATCH_BYTES } from './scratch.ts';
import { scrubBlocks, type VisitBad } from './scrubbing.ts';
import { Sealing } from './sealing.ts';
import type { BlobSpaceCounts, BlobSpaceLimits } from './space-figures.ts';
import { StoredBytes } from './stored-bytes.ts';
import { type SumsOfBlob, storeSums } from './sum-file.ts';

export class BlobSpace {
  readonly system: System;
  readonly directory: string;
  /** For this room only, as is the next. */
  readonly files: BlobFiles;
  /** 1 MiB that is anyone's until the next call. */
  readonly scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Host files that forks refer to. */
  readonly externals: ExternalFiles;
  private readonly stored: StoredBytes;
  /** Work that the thread pool has: wait for it before closing the space. */
  readonly fetches = new Fetches();

  constructor(system: System, directory: string, limits: BlobSpaceLimits = {}) {
    this.system = system;
    this.directory = directory;
    this.files = new BlobFiles(system, directory, limits.descriptorsMax ?? 1024);
    this.externals = new ExternalFiles(system);
    this.stored = new StoredBytes(this.files, limits.windowsMax ?? 1024, this.scratch);
  }

  get counts(): BlobSpaceCounts {
    return {
      openDescriptors: this.files.openCount,
      windows: this.stored.windowCount,
      blocksVerified: this.stored.blocksVerified,
    };
  }

  // Bytes, wherever they are.

  /** The one place that tells the kinds of blobs apart. */
  private bytesOf(id: BlobId): BlobBytes {
    return isExternal(id) ? this.externals : this.stored;
  }

  /** Whether the store itself has the bytes: see `BlobBytes.isStored`. */
  isStored(id: BlobId): boolean {
    return this.bytesOf(id).isStored;
  }

  /** Copies `length` bytes at byte `position` of a blob to `target[offset..]`: see `BlobBytes.read`. */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    this.bytesOf(id).read(id, position, target, offset, length);
  }

  /** As `read`, but returns false, with `target` in any state, when a byte would have to be waited for. */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean {
    return this.bytesOf(id).tryRead(id, position, target, offset, length);
  }

  /** Brings bytes to where `tryRead` finds them, in the background. The read that follows reports what fails. */
  fetch(id: BlobId, position: number, length: number): Promise<void> {
    return this.fetches.add(this.bytesOf(id).fetch(id, position, length));
  }

  /** lseek(2), SEEK_DATA: the first byte of data at or after `position`; undefined where there is none. */
  seekData(id: BlobId, position: number): number | undefined {
    return this.bytesOf(id).seekData(id, position);
  }

  /** lseek(2), SEEK_HOLE: the first hole at or after `position`; undefined where there is none before the end. */
  seekHole(id: BlobId, position: number): number | undefined {
    return this.bytesOf(id).seekHole(id, position);
  }

  /** What has become of a blob that is not stored: see `BlobBytes.problem`. */
  problem(id: BlobId): string | undefined {
    return this.bytesOf(id).problem(id);
  }

  /** Which blocks are in the page cache: one byte a block, 1 or 0. ENOTSUP where the system cannot map. */
  residentBlocks(id: BlobId, startBlock: number, count: number): Uint8Array {
    return residentBlocks(this.system, this.bytesOf(id).descriptor(id), startBlock, count);
  }

  // Descriptors of stored blobs, for mapping and registering.

  /** A descriptor of the blob, good until the next call for another blob unless the blob is pinned. */
  descriptor(id: BlobId): number {
    // A host file in a memory map is SIGBUS once somebody cuts it.
    assert(this.isStored(id), 'only what is stored is mapped');
    return this.bytesOf(id).descriptor(id);
  }

  /** Keeps the descriptor that is returned open until `unpin`; pins are counted. */
  pin(id: BlobId): number {
    return this.files.pin(this.files.of(id));
  }

  unpin(id: BlobId): void {
    this.files.unpin(this.files.of(id));
  }

  // Files of stored blobs.

  /** Makes a new blob's file, empty. EEXIST when there is one. Its name is durable after `syncName`. */
  create(id: BlobId): number {
    return this.files.create(id).fd;
  }

  syncName(id: BlobId): void {
    this.files.syncName(this.files.of(id));
  }

  /** Makes durable what a process left that died: a blob's data, and its name, which it may have died before. */
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

  /** Removes a blob with its checksums; nothing happens where it is gone. It must not be pinned. */
  unlink(id: BlobId): void {
    this.unlinkNames(id);
    this.release(id);
  }

  /** The first half of `unlink`: no name any more. The kernel keeps the space of an open one until `release`. */
  unlinkNames(id: BlobId): void {
    this.files.unlinkNames(id);
  }

  /** The second half of `unlink`. */
  release(id: BlobId): void {
    const file = this.files.of(id);
    this.files.release(id);
    this.stored.forget(file);
  }

  lengthBlocks(id: BlobId): number {
    return blocksFor(this.lengthBytes(id));
  }

  /** Length of the blob's file now. */
  lengthBytes(id: BlobId): number {
    const file = this.files.of(id);
    this.files.refreshSize(file);
    return file.sizeBytes;
  }

  /** Bytes of disk that the blob takes, without its checksums. */
  allocatedBytes(id: BlobId): number {
    return this.system.fileSize(this.descriptor(id)).allocatedBytes;
  }

  /**
   * Gives the space of dead blocks back; they read as zeros, and of a sealed blob as EIO. False where the host cannot.
   */
  punch(id: BlobId, startBlock: number, count: number): boolean {
    const file = this.files.of(id);
    file.touched.clearRange(startBlock, startBlock + count);
    return this.files.punch(file, startBlock * BLOCK_SIZE, count * BLOCK_SIZE);
  }

  /** Drops the blob's clean pages from the page cache, for scrub and for tests of cold reads. */
  dropCache(id: BlobId): void {
    this.system.dropCache(this.descriptor(id));
  }

  // Checksums of stored blobs.

  /**
   * Scrubs a range of live blocks against the checksums by pread, and tells of each bad one. False, with nothing
   * read, when the blob is not sealed. EIO when the checksum file is damaged or the blob is missing.
   */
  verify(id: BlobId, startBlock: number, count: number, visitBad: VisitBad): boolean {
    const file = this.files.of(id);
    const fd = this.files.descriptor(file);
    const sums = this.stored.sumsOf(file);
    if (sums === undefined) return false;
    scrubBlocks(this.system, file, fd, sums, startBlock, count, this.scratch, visitBad);
    return true;
  }

  /** Whether the blob has checksums. EIO when their file is damaged. */
  isSealed(id: BlobId): boolean {
    return this.stored.sumsOf(this.files.of(id)) !== undefined;
  }

  /** To be called when the checksums of a blob were stored (here or by another process) or replaced. */
  setSealed(id: BlobId): void {
    const file = this.files.of(id);
    file.sumState = 'unknown';
    file.sums = undefined;
  }

  /** The work of computing and storing the checksums of a frozen blob; see `Sealing.step`. */
  writeSums(id: BlobId, lengthBlocks: number): Sealing {
    return new Sealing(this, id, lengthBlocks);
  }

  /** For this room only: makes the data of blobs durable, then their checksums. */
  finishSealing(blobs: readonly SumsOfBlob[]): void {
    for (const { id } of blobs) this.system.dataSync(this.files.descriptor(this.files.of(id)));
    for (const { id } of blobs) this.files.syncName(this.files.of(id));
    storeSums(this.system, this.directory, blobs);
    for (const { id } of blobs) this.setSealed(id);
  }

  /** Unmaps every window and closes every descriptor. The space stays usable, and opens them again when needed. */
  close(): void {
    this.stored.close();
    this.externals.closeAll();
    this.files.close();
  }
}
