/**
 * Reads ahead from one file to the next. A program that reads a whole tree takes the files of a directory in the order
 * in which they were listed, and waits for each. While the server waits for the program, it prepares the next file's
 * bytes: it reads its map and verifies its blocks.
 *
 * Every change of a file replaces its record, so prepared bytes are right as long as its inode has the same record.
 * They are used once, and soon or not at all.
 */
import type { Inode } from '../layer/index.ts';
import type { InodeCalls } from '../vfs/index.ts';

const FILE_BYTES_MAX = 64 * 1024;
/** Files of a listing that a program may skip. */
const PASSED_MAX = 8;
const FRESH_MS = 20;

/** The prepared bytes of one file; all mounts share this buffer. */
const READY = {
  bytes: Buffer.allocUnsafeSlow(FILE_BYTES_MAX),
  inode: undefined as Inode | undefined,
  record: undefined as Inode['record'] | undefined,
  at: 0,
};

export class FileReadAhead {
  private readonly calls: InodeCalls;
  /** The inodes of the last listing, in order. */
  private listed: Inode[] = [];
  /** The index in `listed` after the file that was read last. */
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

  /** Prepares the next file's bytes, once for each file that was read. Returns whether it took any time. */
  prepare(): boolean {
    if (!this.isDue) return false;
    this.isDue = false;
    const inode = this.listed[this.next];
    if (inode === undefined || !inode.isFile || inode.isDead) return false;
    const { size } = inode.record;
    // A file that has a mapping was read before, and is in the kernel's cache.
    if (inode.mapping !== undefined || size === 0 || size > FILE_BYTES_MAX) return false;
    READY.inode = undefined;
    try {
      if (!this.calls.peek(inode, READY.bytes)) return true;
    } catch {
      // The program that reads the file gets the error again.
      return true;
    }
    READY.inode = inode;
    READY.record = inode.record;
    READY.at = performance.now();
    return true;
  }

  /** Copies the whole file's bytes to `target[offset]`; false where they are not ready. */
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
