/**
 * One answer to the kernel, written in place: struct fuse_out_header, then the results of the operation.
 *
 *     0 len · 4 error (a negative errno, or 0) · 8 unique (64)
 */
import { TWO_32 } from '../base/index.ts';
import { OUT_HEADER_BYTES } from './abi.ts';

export class Reply {
  readonly bytes: Buffer;
  private readonly words: Uint32Array;
  /** Bytes after the header. */
  payloadBytes = 0;

  /** `bytes` begins at a multiple of 4 within its ArrayBuffer. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  }

  /** The most bytes after the header. */
  get capacityBytes(): number {
    return this.bytes.length - OUT_HEADER_BYTES;
  }

  /** Starts an answer of `payloadBytes` zero bytes for the handler to fill in. */
  zeros(payloadBytes: number): this {
    const end = (OUT_HEADER_BYTES + payloadBytes + 3) >>> 2;
    this.words.fill(0, OUT_HEADER_BYTES >>> 2, end);
    this.payloadBytes = payloadBytes;
    return this;
  }

  /** Writes `length` zero bytes at `offset`, both multiples of 4. */
  fill(offset: number, length: number): void {
    const at = (OUT_HEADER_BYTES + offset) >>> 2;
    this.words.fill(0, at, at + (length >>> 2));
  }

  setU32(offset: number, value: number): void {
    this.words[(OUT_HEADER_BYTES + offset) >>> 2] = value;
  }

  /** A whole number from -2^53 to 2^53, as 64 bits. */
  setU64(offset: number, value: number): void {
    const at = (OUT_HEADER_BYTES + offset) >>> 2;
    this.words[at] = value;
    this.words[at + 1] = Math.floor(value / TWO_32);
  }

  setU16(offset: number, value: number): void {
    this.bytes.writeUInt16LE(value, OUT_HEADER_BYTES + offset);
  }

  /** Puts a byte string, without a zero byte after it. */
  setText(offset: number, text: string): void {
    this.bytes.write(text, OUT_HEADER_BYTES + offset, 'latin1');
  }

  setBytes(offset: number, source: Uint8Array): void {
    this.bytes.set(source, OUT_HEADER_BYTES + offset);
  }

  /** Writes the header. Returns the length of the whole answer. */
  finish(errno: number, uniqueLow: number, uniqueHigh: number): number {
    const length = OUT_HEADER_BYTES + (errno === 0 ? this.payloadBytes : 0);
    this.words[0] = length;
    this.words[1] = -errno;
    this.words[2] = uniqueLow;
    this.words[3] = uniqueHigh;
    return length;
  }
}
