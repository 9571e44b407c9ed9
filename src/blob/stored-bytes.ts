/**
 * Bytes in the store's own blobs.
 *
 * First touch of a block in this process is by pread and verifies its checksum where the blob is sealed; from then
 * on it is copied from a window, which costs no system call. So a flipped bit or a bad sector is an EIO that names
 * blob and block, and everything else stays readable.
 *
 * Invariants: no byte at or beyond a file's size is touched through a window (that would be SIGBUS); the
 * `touched` bits have room for every block below `sizeBytes`; punched blocks have their bit clear.
 */
import { BLOCK_SIZE, type BlobId, type BlockIndex, blocksFor, checksum64, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobBytes } from './blob-bytes.ts';
import { BlobFile } from './blob-file.ts';
import type { BlobFiles } from './blob-files.ts';
import { DamagedBlobError, shortBlob } from './damage.ts';
import { readThrough } from './fetches.ts';
import { assertSpan } from './read-span.ts';
import { SCRATCH_BYTES } from './scratch.ts';
import { loadSums } from './sum-file.ts';
import { WINDOW_BYTES, WindowPool } from './window-pool.ts';

const WOULD_BLOCK = -1;
const NO_FILE = new BlobFile(0 as BlobId, ''); // Never returned: 0 is no blob's id.

export class StoredBytes implements BlobBytes {
  readonly isStored = true;
  private readonly system: System;
  private readonly files: BlobFiles;
  private readonly windows: WindowPool;
  private readonly scratch: Buffer;
  /** Blocks whose checksum was compared by reads. */
  blocksVerified = 0;
  /** The blob used last; one that does not exist at first. */
  private last = NO_FILE;

  /** `scratch` is anyone's until the next call. */
  constructor(files: BlobFiles, windowsMax: number, scratch: Buffer) {
    this.system = files.system;
    this.files = files;
    this.windows = new WindowPool(files.system, windowsMax);
    this.scratch = scratch;
  }

  get windowCount(): number {
    return this.windows.count;
  }

  /**
   * Fails with EIO (DamagedBlobError) when a block does not match its checksum, when the disk cannot read it, when
   * the file is missing or ends before the last block wanted, or when the checksum file is damaged.
   */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    const file = id === this.last.id ? this.last : this.use(id);
    assertSpan(position, length, target, offset);
    if (this.readWindow(file, position, target, offset, length)) return;
    this.readSlowly(file, position, target, offset, length, true);
  }

  /** Opening the blob and loading its checksums, once each, may wait. */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean {
    const file = id === this.last.id ? this.last : this.use(id);
    assertSpan(position, length, target, offset);
    return this.readSlowly(file, position, target, offset, length, false);
  }

  /** Verifies nothing. */
  async fetch(id: BlobId, position: number, length: number): Promise<void> {
    const file = this.files.of(id);
    const fd = this.files.pin(file);
    try {
      await readThrough(this.system, fd, position, length);
    } finally {
      this.files.unpin(file);
    }
  }

  descriptor(id: BlobId): number {
    return this.files.descriptor(this.files.of(id));
  }

  /** `BlobSpace.verify` finds what is wrong with these. */
  problem(): undefined {
    return undefined;
  }

  /** What is dead was punched, but no extent names it: what is read has no holes. */
  seekData(_id: BlobId, position: number): number {
    return position;
  }

  seekHole(): undefined {
    return undefined;
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
  sumsOf(file: BlobFile): BigUint64Array | undefined {
    if (file.sumState === 'unknown') {
      try {
        file.sums = loadSums(this.system, this.files.directory, file.id);
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

  /** The blob is gone: its windows would keep its space. */
  forget(file: BlobFile): void {
    this.windows.dropAll(file);
    if (this.last === file) this.last = NO_FILE;
  }

  /** Unmaps every window. */
  close(): void {
    this.windows.close();
    this.last = NO_FILE;
  }
}
