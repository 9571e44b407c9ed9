/**
 * Physical space: the bytes of all blobs, by (blob id, position).
 *
 * First touch of a block in this process is by pread and verifies its checksum where the blob is sealed; from then
 * on it is copied from a window, which costs no system call. So a flipped bit or a bad sector is an EIO that names
 * blob and block, and everything else stays readable.
 *
 * Invariants: no byte at or beyond a file's size is touched through a window (that would be SIGBUS); the
 * `touched` bits have room for every block below `sizeBytes`; punched blocks have their bit clear.
 */
import {
  assert,
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  checksum64,
  isFsError,
} from '../base/index.ts';
import type { System } from '../sys/index.ts';
import { BlobFile } from './blob-file.ts';
import { BlobFiles } from './blob-files.ts';
import { DamagedBlobError, shortBlob } from './damage.ts';
import { EXTERNAL_BLOB_FIRST, ExternalFiles } from './external-files.ts';
import { Fetches, readThrough } from './fetches.ts';
import { assertSpan } from './read-span.ts';
import { residentBlocks } from './residency.ts';
import { SCRATCH_BYTES } from './scratch.ts';
import { scrubBlocks, type VisitBad } from './scrubbing.ts';
import { Sealing } from './sealing.ts';
import type { BlobSpaceCounts, BlobSpaceLimits } from './space-figures.ts';
import { loadSums, type SumsOfBlob, storeSums } from './sum-file.ts';
import { WINDOW_BYTES, WindowPool } from './window-pool.ts';

const WOULD_BLOCK = -1;

export class BlobSpace {
  readonly system: System;
  readonly directory: string;
  /** For this room only, as is the next. */
  readonly files: BlobFiles;
  /** 1 MiB that is anyone's until the next call. */
  readonly scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Host files that forks refer to. */
  readonly externals: ExternalFiles;
  private readonly windows: WindowPool;
  /** What the thread pool was given. Whoever closes the space waits for it first. */
  readonly fetches = new Fetches();
  private blocksVerified = 0;
  /** The blob used last; one that does not exist at first. */
  private last: BlobFile = new BlobFile(0 as BlobId, ''); // Never returned: 0 is no blob's id.

  constructor(system: System, directory: string, limits: BlobSpaceLimits = {}) {
    this.system = system;
    this.directory = directory;
    this.files = new BlobFiles(system, directory, limits.descriptorsMax ?? 1024);
    this.externals = new ExternalFiles(system);
    this.windows = new WindowPool(system, limits.windowsMax ?? 1024);
  }

  get counts(): BlobSpaceCounts {
    return {
      openDescriptors: this.files.openCount,
      windows: this.windows.count,
      blocksVerified: this.blocksVerified,
    };
  }

  /**
   * Copies `length` bytes at byte `position` of a blob to `target[offset..]`.
   *
   * Fails with EIO (DamagedBlobError) when a block does not match its checksum, when the disk cannot read it, when
   * the file is missing or ends before the last block wanted, or when the checksum file is damaged. In the last block
   * bytes behind the end of the file are zeros.
   */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    if (id >= EXTERNAL_BLOB_FIRST) {
      this.externals.read(id, position, target, offset, length);
      return;
    }
    const file = id === this.last.id ? this.last : this.use(id);
    assertSpan(position, length, target, offset);
    if (this.readWindow(file, position, target, offset, length)) return;
    this.readSlowly(file, position, target, offset, length, true);
  }

  /**
   * As `read`, but returns false, with `target` in any state, when a byte would have to come from the disk. Opening
   * the blob and loading its checksums, once each, may wait.
   */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean {
    if (id >= EXTERNAL_BLOB_FIRST) return this.externals.tryRead(id, position, target, offset, length);
    const file = id === this.last.id ? this.last : this.use(id);
    assertSpan(position, length, target, offset);
    return this.readSlowly(file, position, target, offset, length, false);
  }

  /**
   * Brings bytes into the host's page cache by the thread pool, so that `tryRead` finds them there. Verifies nothing
   * and tells of no failure: the read that follows does.
   */
  fetch(id: BlobId, position: number, length: number): Promise<void> {
    const source = id >= EXTERNAL_BLOB_FIRST ? this.externals : this;
    return this.fetches.add(source.fetchBytes(id, position, length));
  }

  /** For `fetch` only. */
  async fetchBytes(id: BlobId, position: number, length: number): Promise<void> {
    const fd = this.pin(id);
    try {
      await readThrough(this.system, fd, position, length);
    } finally {
      this.unpin(id);
    }
  }

  /** The common case: every block was touched, and one existing window has all the bytes. No system call. */
  private readWindow(
    file: BlobFile,
    position: number,
    target: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const end = position + length;
    if (end > file.sizeBytes || length === 0) return length === 0;
    const index = Math.floor(position / WINDOW_BYTES);
    const window = file.windows[index];
    const at = position - index * WINDOW_BYTES;
    if (window === undefined || at + length > WINDOW_BYTES) return false;
    const first = Math.floor(position / BLOCK_SIZE);
    const stop = Math.floor((end - 1) / BLOCK_SIZE) + 1;
    if (stop - first === 1 ? !file.touched.has(first) : file.touched.nextClear(first, stop) < stop)
      return false;
    this.windows.touch(window);
    target.set(window.bytes.subarray(at, at + length), offset);
    return true;
  }

  private readSlowly(
    file: BlobFile,
    position: number,
    target: Uint8Array,
    offset: number,
    length: number,
    mayWait: boolean,
  ): boolean {
    if (length === 0) return true;
    const wanted = position + length;
    const fd = this.files.descriptor(file);
    if (wanted > file.sizeBytes) this.files.refreshSize(file);
    const end = Math.min(wanted, file.sizeBytes);
    if (end < wanted) {
      if (wanted > blocksFor(file.sizeBytes) * BLOCK_SIZE) throw shortBlob(file.id, file.sizeBytes, wanted);
      // A large file's own blob ends at its last byte; the rest of its last block is zeros.
      target.fill(0, offset + Math.max(0, end - position), offset + length);
    }
    const stop = blocksFor(end);
    let at = position;
    while (at < end) {
      const block = Math.floor(at / BLOCK_SIZE);
      const into = offset + at - position;
      const touchedEnd = file.touched.nextClear(block, stop);
      let done: number;
      if (touchedEnd > block) {
        const bytes = Math.min(end, touchedEnd * BLOCK_SIZE) - at;
        done = this.copyTouched(file, fd, at, target, into, bytes, mayWait);
      } else {
        const runEnd = Math.min(end, file.touched.nextSet(block, stop) * BLOCK_SIZE);
        const wholeBlocks = at % BLOCK_SIZE === 0 ? Math.floor((runEnd - at) / BLOCK_SIZE) : 0;
        done =
          wholeBlocks > 0
            ? this.touchRun(file, fd, block, wholeBlocks, target, into, mayWait)
            : this.touchPart(file, fd, at, target, into, runEnd - at, mayWait);
      }
      if (done === WOULD_BLOCK) return false;
      at += done;
    }
    return true;
  }

  /** Copies bytes of touched blocks; returns how many (up to the end of a window), or WOULD_BLOCK. */
  private copyTouched(
    file: BlobFile,
    fd: number,
    position: number,
    target: Uint8Array,
    offset: number,
    length: number,
    mayWait: boolean,
  ): number {
    // A page that was touched may have been evicted, so that a copy from the window would wait for the disk.
    if (mayWait && this.system.canMap) {
      const index = Math.floor(position / WINDOW_BYTES);
      const at = position - index * WINDOW_BYTES;
      const bytes = Math.min(length, WINDOW_BYTES - at);
      const window = this.windows.open(file, index, fd);
      if (window !== undefined) {
        target.set(window.bytes.subarray(at, at + bytes), offset);
        return bytes;
      }
    }
    const got = this.pread(file, fd, position, target, offset, length, mayWait);
    if (got === WOULD_BLOCK) return WOULD_BLOCK;
    if (got < length) throw shortBlob(file.id, file.sizeBytes, position + length);
    return length;
  }

  /** First touch of whole blocks, straight into the target; returns the bytes, at most 1 MiB, or WOULD_BLOCK. */
  private touchRun(
    file: BlobFile,
    fd: number,
    start: number,
    count: number,
    target: Uint8Array,
    offset: number,
    mayWait: boolean,
  ): number {
    const length = Math.min(count * BLOCK_SIZE, SCRATCH_BYTES);
    const sums = this.sumsOf(file);
    const got = this.pread(file, fd, start * BLOCK_SIZE, target, offset, length, mayWait);
    if (got === WOULD_BLOCK) return WOULD_BLOCK;
    if (got < length) throw shortBlob(file.id, file.sizeBytes, start * BLOCK_SIZE + length);
    const end = start + length / BLOCK_SIZE;
    if (sums === undefined) {
      file.touched.setRange(start, end);
      return length;
    }
    for (let block = start; block < end; block++) {
      const at = offset + (block - start) * BLOCK_SIZE;
      this.verifyBlock(file, sums, block, target.subarray(at, at + BLOCK_SIZE));
    }
    return length;
  }

  /** First touch of a block of which only a part is wanted, or that ends early; returns the bytes or WOULD_BLOCK. */
  private touchPart(
    file: BlobFile,
    fd: number,
    position: number,
    target: Uint8Array,
    offset: number,
    lengthMax: number,
    mayWait: boolean,
  ): number {
    const { scratch } = this;
    const block = Math.floor(position / BLOCK_SIZE);
    const start = block * BLOCK_SIZE;
    const length = Math.min(lengthMax, start + BLOCK_SIZE - position);
    const sums = this.sumsOf(file);
    const got = this.pread(file, fd, start, scratch, 0, BLOCK_SIZE, mayWait);
    if (got === WOULD_BLOCK) return WOULD_BLOCK;
    if (start + got < position + length) throw shortBlob(file.id, file.sizeBytes, position + length);
    scratch.fill(0, got, BLOCK_SIZE);
    if (sums === undefined) file.touched.set(block);
    else this.verifyBlock(file, sums, block, scratch.subarray(0, BLOCK_SIZE));
    scratch.copy(target, offset, position - start, position - start + length);
    return length;
  }

  private verifyBlock(file: BlobFile, sums: BigUint64Array, block: number, bytes: Uint8Array): void {
    this.blocksVerified++;
    const sum = sums[block];
    if (sum !== undefined && checksum64(bytes) === sum) {
      file.touched.set(block);
      return;
    }
    const problem = sum === undefined ? 'it has no checksum' : 'checksum does not match';
    throw new DamagedBlobError(file.id, block as BlockIndex, problem); // Counted in blocks from the blob's start.
  }

  /** pread(2) or its form that does not wait; EIO of the disk is reported with blob and block. */
  private pread(
    file: BlobFile,
    fd: number,
    position: number,
    target: Uint8Array,
    offset: number,
    length: number,
    mayWait: boolean,
  ): number {
    try {
      return mayWait
        ? this.system.pread(fd, target, offset, length, position)
        : this.system.tryPread(fd, target, offset, length, position);
    } catch (error) {
      if (!isFsError(error, 'EIO')) throw error;
      const block = Math.floor(position / BLOCK_SIZE) as BlockIndex; // Counted in blocks from the blob's start.
      if (length > BLOCK_SIZE && mayWait) {
        return this.preadEach(file, fd, position, target, offset, length);
      }
      throw new DamagedBlobError(file.id, block, 'the disk cannot read it');
    }
  }

  /** Reads block by block after a long read failed, so that the error names the block that is bad. */
  private preadEach(
    file: BlobFile,
    fd: number,
    position: number,
    target: Uint8Array,
    offset: number,
    length: number,
  ): number {
    let done = 0;
    while (done < length) {
      const rest = BLOCK_SIZE - ((position + done) % BLOCK_SIZE);
      const want = Math.min(rest, length - done);
      const got = this.pread(file, fd, position + done, target, offset + done, want, true);
      done += got;
      if (got < want) break;
    }
    return done;
  }

  private use(id: BlobId): BlobFile {
    this.last = this.files.of(id);
    return this.last;
  }

  /** The checksums of a blob, loaded when first wanted; undefined when it is not sealed. */
  private sumsOf(file: BlobFile): BigUint64Array | undefined {
    if (file.sumState === 'unknown') {
      try {
        file.sums = loadSums(this.system, this.directory, file.id);
        file.sumState = file.sums === undefined ? 'none' : 'loaded';
      } catch (error) {
        if (!(error instanceof DamagedBlobError)) throw error;
        file.sumState = 'damaged';
        file.sumError = error;
      }
    }
    if (file.sumState === 'damaged') throw file.sumError!;
    return file.sums;
  }

  // Descriptors, for mapping and registering.

  /** A descriptor of the blob, good until the next call for another blob unless the blob is pinned. */
  descriptor(id: BlobId): number {
    return this.files.descriptor(this.files.of(id));
  }

  /** Keeps the descriptor that is returned open until `unpin`; pins are counted. */
  pin(id: BlobId): number {
    return this.files.pin(this.files.of(id));
  }

  unpin(id: BlobId): void {
    this.files.unpin(this.files.of(id));
  }

  // Files.

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
    this.forget(file);
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

  /** Which blocks are in the page cache: one byte a block, 1 or 0. ENOTSUP where the system cannot map. */
  residentBlocks(id: BlobId, startBlock: number, count: number): Uint8Array {
    const fd = id >= EXTERNAL_BLOB_FIRST ? this.externals.descriptor(id) : this.descriptor(id);
    return residentBlocks(this.system, fd, startBlock, count);
  }

  /** Drops the blob's clean pages from the page cache, for scrub and for tests of cold reads. */
  dropCache(id: BlobId): void {
    this.system.dropCache(this.descriptor(id));
  }

  // Checksums.

  /**
   * Scrubs a range of live blocks against the checksums by pread, and tells of each bad one. False, with nothing
   * read, when the blob is not sealed. EIO when the checksum file is damaged or the blob is missing.
   */
  verify(id: BlobId, startBlock: number, count: number, visitBad: VisitBad): boolean {
    const file = this.files.of(id);
    const fd = this.files.descriptor(file);
    const sums = this.sumsOf(file);
    if (sums === undefined) return false;
    scrubBlocks(this.system, file, fd, sums, startBlock, count, this.scratch, visitBad);
    return true;
  }

  /** Whether the blob has checksums. EIO when their file is damaged. */
  isSealed(id: BlobId): boolean {
    return this.sumsOf(this.files.of(id)) !== undefined;
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

  /** Blocks `[startBlock, startBlock + count)` were written by this process: nothing is left to verify in them. */
  notifyWritten(id: BlobId, startBlock: number, count: number): void {
    const file = this.files.of(id);
    const end = startBlock + count;
    if (end > blocksFor(file.sizeBytes)) this.files.refreshSize(file);
    assert(end <= blocksFor(file.sizeBytes), 'what was written lies inside the file');
    file.touched.setRange(startBlock, end);
  }

  /** Unmaps every window and closes every descriptor. The space can be used again and opens them anew. */
  close(): void {
    this.windows.close();
    this.externals.closeAll();
    this.files.close();
    this.last = new BlobFile(0 as BlobId, ''); // Never returned: 0 is no blob's id.
  }

  private forget(file: BlobFile): void {
    this.windows.dropAll(file);
    if (this.last === file) this.last = new BlobFile(0 as BlobId, ''); // Never returned: 0 is no blob's id.
  }
}
