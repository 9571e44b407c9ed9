/**
 * Reads ahead from one file to the next. A program that reads a whole tree reads the files of a directory in the order
 * of the listing, and waits for each. While the server waits for the program, it prepares the bytes of the next file:
 * it reads the file's extent map and verifies its blocks.
 *
 * Every change of a file replaces its record, so prepared bytes are right as long as the inode has the same record. A
 * read uses them once, within `FRESH_MS`, or not at all.
 */
import type { Inode } from '../layer/index.ts';
import type { InodeCalls } from '../vfs/index.ts';

const FILE_BYTES_MAX = 64 * 1024;
/** How many files of the listing are searched, from the next one on, for the file that a program reads. */
const PASSED_MAX = 8;
/** How long prepared bytes may be used. */
const FRESH_MS = 20;

/** The prepared bytes of one file; all mounts share this buffer. */
const READY = {
  bytes: Buffer.allocUnsafeSlow(FILE_BYTES_MAX),
  inode: undefined as Inode | undefined,
  record: undefined as Inode['record'] | undefined,
  /** `performance.now()` when the bytes were prepared. */
  at: 0,
};

export class FileReadAhead {
  private readonly calls: InodeCalls;
  /** The inodes of the last listing, in order. */
  private listed: Inode[] = [];
  /** The index in `listed` of the file that follows the one that was read last. */
  private next = 0;
  private isDue = false;

  constructor(calls: InodeCalls) {
    this.calls = calls;
  }

  clear(): void {
    this.listed = [];
    this.next = 0;
    this.isDue = false;
  }

  noteListed(inode: Inode): void {
    this.listed.push(inode);
  }

  noteRead(inode: Inode): void {
    const { listed, next } = this;
    const end = Math.min(listed.length, next + PASSED_MAX);
    for (let at = next; at < end; at++) {
      if (listed[at] !== inode) continue;
      this.next = at + 1;
      this.isDue = true;
      return;
    }
  }

  /** Prepares the bytes of the next file, once after each file that was read. Returns true if it tried to read them. */
  prepare(): boolean {
    if (!this.isDue) return false;
    this.isDue = false;
    const inode = this.listed[this.next];
    if (inode === undefined || !inode.isFile || inode.isDead) return false;
    const { size } = inode.record;
    // A program has most likely read a file that has a mapping, so the kernel has its bytes in the cache.
    if (inode.mapping !== undefined || size === 0 || size > FILE_BYTES_MAX) return false;
    READY.inode = undefined;
    try {
      if (!this.calls.peek(inode, READY.bytes)) return true;
    } catch {
      // A program that reads the file will get the error.
      return true;
    }
    READY.inode = inode;
    READY.record = inode.record;
    READY.at = performance.now();
    return true;
  }

  /**
   * Copies all bytes of the file to `target[offset..]`. Returns false, and copies nothing, if no fresh bytes are
   * prepared, or if the read covers only a part of the file.
   */
  take(inode: Inode, target: Uint8Array, offset: number, position: number, length: number): boolean {
    if (READY.inode !== inode) return false;
    READY.inode = undefined;
    const { record } = inode;
    if (READY.record !== record || position !== 0 || length < record.size) return false;
    if (performance.now() - READY.at > FRESH_MS) return false;
    target.set(READY.bytes.subarray(0, record.size), offset);
    return true;
  }
}
