/**
 * One request of the kernel, read in place: struct fuse_in_header, then the arguments of the operation, then names,
 * each ended by a zero byte. Little-endian, like every machine that `sys` accepts.
 *
 *     0 len · 4 opcode · 8 unique (64) · 16 nodeid (64) · 24 uid · 28 gid · 32 pid · 36 total_extlen (16), padding
 *
 * Invariant: bytes outside `[0, lengthBytes)` of the buffer are never used; a request that is too short for its
 * operation fails with EINVAL.
 */
import { FsError, type Name, TWO_32 } from '../base/index.ts';
import { IN_HEADER_BYTES } from './abi.ts';

export class Request {
  readonly bytes: Buffer;
  private readonly words: Uint32Array;
  lengthBytes = 0;

  /** `bytes` is the buffer into which each request is read in turn; it begins at a multiple of 4 in its ArrayBuffer. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  }

  /** Begins the request that was just read into the buffer. Returns false if the request is incomplete. */
  begin(lengthBytes: number): boolean {
    this.lengthBytes = lengthBytes;
    return lengthBytes >= IN_HEADER_BYTES && this.words[0] === lengthBytes;
  }

  get opcode(): number {
    return this.words[1]!;
  }

  get uniqueLow(): number {
    return this.words[2]!;
  }

  get uniqueHigh(): number {
    return this.words[3]!;
  }

  get nodeId(): number {
    return this.words[4]! + this.words[5]! * TWO_32;
  }

  get uid(): number {
    return this.words[6]!;
  }

  get gid(): number {
    return this.words[7]!;
  }

  get pid(): number {
    return this.words[8]!;
  }

  /** Throws EINVAL if the arguments have fewer than `argumentBytes` bytes. */
  need(argumentBytes: number): void {
    if (this.lengthBytes < IN_HEADER_BYTES + argumentBytes) throw new FsError('EINVAL');
  }

  /** 32 bits at `offset` bytes into the arguments. The caller has checked the length with `need`. */
  u32(offset: number): number {
    return this.words[(IN_HEADER_BYTES + offset) >>> 2]!;
  }

  /** 64 bits at `offset`; exact below 2^53, which inode numbers and sizes are. */
  u64(offset: number): number {
    const at = (IN_HEADER_BYTES + offset) >>> 2;
    return this.words[at]! + this.words[at + 1]! * TWO_32;
  }

  /** Signed 64 bits, for times. */
  i64(offset: number): number {
    const at = (IN_HEADER_BYTES + offset) >>> 2;
    return this.words[at]! + (this.words[at + 1]! | 0) * TWO_32;
  }

  /** The name that begins `offset` bytes into the arguments. EINVAL when no zero byte ends it. */
  name(offset: number): Name {
    const start = IN_HEADER_BYTES + offset;
    const end = this.endOfName(start);
    // A Name is a byte string: each character stands for one byte from the kernel.
    return this.bytes.toString('latin1', start, end) as Name;
  }

  /** The offset of the argument that follows the name at `offset`. */
  afterName(offset: number): number {
    return this.endOfName(IN_HEADER_BYTES + offset) + 1 - IN_HEADER_BYTES;
  }

  /** `length` bytes at `offset` into the arguments, in place; the next request overwrites them. */
  argument(offset: number, length: number): Buffer {
    return this.bytes.subarray(IN_HEADER_BYTES + offset, IN_HEADER_BYTES + offset + length);
  }

  private endOfName(start: number): number {
    const end = this.bytes.indexOf(0, start);
    if (end < start || end >= this.lengthBytes) throw new FsError('EINVAL');
    return end;
  }
}
