/**
 * Bytes in the store's own blobs.
 *
 * This process reads a block for the first time by pread, and verifies its checksum if the blob is sealed. Later reads
 * copy the block from a window, without a system call. A flipped bit or a bad sector gives an EIO that names the blob
 * and the block, and everything else stays readable.
 *
 * Invariants: no access through a window reaches a byte at or beyond the file's size (such an access would raise
 * SIGBUS); the `touched` bits have room for every block below `sizeBytes`; the bits of punched blocks are clear.
 */
import {
  assert,
  BLOCK_SIZE,
  type BlobId,
  type BlockIndex,
  blocksFor,
  checksum64,
  FsError,
  isFsError,
  type Timespec,
} from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobBytes } from './blob-bytes.ts';
import { BlobFile } from './blob-file.ts';
import type { BlobFiles, BlobSpaceLimits } from './blob-files.ts';
import { DamagedBlobError, shortBlob } from './damage.ts';
import { readThrough } from './fetches.ts';
import { SCRATCH_BLOCKS, SCRATCH_BYTES } from './scratch.ts';
import { loadSums } from './sum-file.ts';
import { WINDOW_BYTES, WindowPool } from './window-pool.ts';

const WOULD_BLOCK = -1;
const NO_FILE = new BlobFile(0 as BlobId, ''); // The cast: this file stands for no blob, and 0 is no blob's id.

/** Receives each bad block and what is wrong with it, as a clause such as "checksum does not match". */
export type VisitBad = (block: BlockIndex, problem: string) => void;

export class StoredBytes implements BlobBytes {
  readonly isStored = true;
  private readonly system: System;
  private readonly files: BlobFiles;
  private readonly windows: WindowPool;
  private readonly scratch: Buffer;
  /** See `BlobSpace.expect`. */
  private readonly expected = new Map<BlobId, Timespec | undefined>();
  /** Number of blocks that reads have compared with their checksums. */
  blocksVerified = 0;
  /** The blob that was used last, to save a lookup if the next call uses it too. */
  private last = NO_FILE;

  /** `scratch` has SCRATCH_BYTES bytes; each call may overwrite them. */
  constructor(files: BlobFiles, { windowsMax = 1024 }: BlobSpaceLimits, scratch: Buffer) {
    this.system = files.system;
    this.files = files;
    this.windows = new WindowPool(files.system, windowsMax);
    this.scratch = scratch;
  }

  /** See `BlobSpace.expect`. */
  expect(id: BlobId, changedAt: Timespec | undefined): void {
    this.expected.set(id, changedAt);
  }

  get windowCount(): number {
    return this.windows.count;
  }

  /**
   * EIO (DamagedBlobError) if a block does not match its checksum, if the disk cannot read it, if the file is missing
   * or ends before the last block wanted, or if the checksum file is damaged.
   */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    const file = id === this.last.id ? this.last : this.use(id);
    assertSpan(position, length, target, offset);
    if (this.readWindow(file, position, target, offset, length)) return;
    this.readSlowly(file, position, target, offset, length, true);
  }

  /**
   * Does not wait for the bytes, but may still wait for the disk to open the blob's file and to load its checksums,
   * once each.
   */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean {
    const file = id === this.last.id ? this.last : this.use(id);
    assertSpan(position, length, target, offset);
    return this.readSlowly(file, position, target, offset, length, false);
  }

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

  /** Always undefined: `verify` finds the problems of stored blobs. */
  problem(): undefined {
    return undefined;
  }

  /** Every position that an extent names has data: a hole of a file has no extent, and only dead blocks are punched. */
  seekData(_id: BlobId, position: number): number {
    return position;
  }

  seekHole(): undefined {
    return undefined;
  }

  /**
   * Serves the common case without a system call: this process has read all the blocks before, and one open window has
   * all the bytes. In any other case returns false.
   */
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
      // A large file's own blob ends at the file's last byte; the rest of the last block reads as zeros.
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
    // Copy from a window only if the caller may wait: the kernel may have evicted the page of a touched block, and then
    // the copy waits for the disk.
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

  /** Reads whole blocks for the first time, into the target. Returns how many bytes (1 MiB at most), or WOULD_BLOCK. */
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
      this.noteUnverified(file, fd, start, end);
      return length;
    }
    for (let block = start; block < end; block++) {
      const at = offset + (block - start) * BLOCK_SIZE;
      this.verifyBlock(file, sums, block, target.subarray(at, at + BLOCK_SIZE));
    }
    return length;
  }

  /**
   * Reads a block for the first time if the caller wants only a part of it, or if the file ends within it. Returns how
   * many bytes of the block the target got, or WOULD_BLOCK.
   */
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
    if (sums === undefined) this.noteUnverified(file, fd, block, block + 1);
    else this.verifyBlock(file, sums, block, scratch.subarray(0, BLOCK_SIZE));
    scratch.copy(target, offset, position - start, position - start + length);
    return length;
  }

  /**
   * Marks blocks without checksums as read. A read-only space marks nothing, so that each read checks here that the
   * file has not changed; ESTALE if it has.
   */
  private noteUnverified(file: BlobFile, fd: number, start: number, end: number): void {
    if (!this.files.isReadOnly) {
      file.touched.setRange(start, end);
      return;
    }
    const [then, now] = [this.expected.get(file.id), this.system.statFile(fd).ctime];
    if (then?.seconds === now.seconds && then.nanoseconds === now.nanoseconds) return;
    const note = 'another process has changed it: open the store again';
    throw new FsError('ESTALE', { syscall: 'read', path: file.path, note });
  }

  private verifyBlock(file: BlobFile, sums: BigUint64Array, block: number, bytes: Uint8Array): void {
    this.blocksVerified++;
    const sum = sums[block];
    if (sum !== undefined && checksum64(bytes) === sum) {
      if (!this.files.isReadOnly) file.touched.set(block);
      return;
    }
    // The cast: counted in blocks from the blob's start.
    throw new DamagedBlobError(file.id, block as BlockIndex, problemOf(sum));
  }

  /** See `BlobSpace.verify`. */
  verify(file: BlobFile, start: number, count: number, visitBad: VisitBad): boolean {
    const fd = this.files.descriptor(file);
    const sums = this.sumsOf(file);
    if (sums === undefined) return false;
    const report = (block: number, problem: string): void => {
      // Clear the bit, so that the next read verifies the block again, and fails.
      file.touched.clearRange(block, block + 1);
      visitBad(block as BlockIndex, problem); // The cast: counted in blocks from the blob's start.
    };
    const end = start + count;
    for (let block = start; block < end; block += SCRATCH_BLOCKS) {
      const stop = Math.min(block + SCRATCH_BLOCKS, end);
      if (this.verifyChunk(fd, sums, block, stop, report)) continue;
      // The disk failed to read the chunk: find out at which blocks.
      for (let one = block; one < stop; one++)
        if (!this.verifyChunk(fd, sums, one, one + 1, report)) report(one, 'the disk cannot read it');
    }
    return true;
  }

  /**
   * Calls `report` for the bad blocks of a chunk, and returns true. Returns false, and has reported nothing, if the
   * disk fails to read the chunk.
   */
  private verifyChunk(
    fd: number,
    sums: BigUint64Array,
    start: number,
    stop: number,
    report: (block: number, problem: string) => void,
  ): boolean {
    const { scratch } = this;
    const length = (stop - start) * BLOCK_SIZE;
    let got: number;
    try {
      got = this.system.pread(fd, scratch, 0, length, start * BLOCK_SIZE);
    } catch (error) {
      if (isFsError(error, 'EIO')) return false;
      throw error;
    }
    scratch.fill(0, got, length);
    for (let block = start; block < stop; block++) {
      const at = (block - start) * BLOCK_SIZE;
      const sum = sums[block];
      if (at >= got) report(block, 'it lies beyond the end of the file');
      else if (checksum64(scratch.subarray(at, at + BLOCK_SIZE)) !== sum) report(block, problemOf(sum));
    }
    return true;
  }

  /**
   * Calls pread(2), or preadv2(2) without waiting, which may return WOULD_BLOCK. Turns an EIO of the disk into an EIO
   * that names the blob and the block.
   */
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
      if (length > BLOCK_SIZE && mayWait) return this.preadEach(file, fd, position, target, offset, length);
      const block = Math.floor(position / BLOCK_SIZE) as BlockIndex; // The cast: counted from the blob's start.
      throw new DamagedBlobError(file.id, block, 'the disk cannot read it');
    }
  }

  /** Reads block by block after a long read failed, so that the error names the bad block. */
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

  /** The checksums of a blob, which the first call loads; undefined if the blob is not sealed. */
  private sumsOf(file: BlobFile): BigUint64Array | undefined {
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

  /** Unmaps the windows of a removed blob, which would keep its space. */
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

function assertSpan(position: number, length: number, target: Uint8Array, offset: number): void {
  assert(position >= 0 && length >= 0, 'a read has a place and a length');
  assert(offset >= 0 && offset + length <= target.length, 'the target has room for the read');
}

/** Says what is wrong with a block whose checksum is not `sum`. */
function problemOf(sum: bigint | undefined): string {
  return sum === undefined ? 'it has no checksum' : 'checksum does not match';
}
