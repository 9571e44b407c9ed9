/**
 * Writes and reads fields of fixed and variable width in byte buffers, for all format files. Numbers in values are
 * little-endian. Numbers in keys are big-endian, so that the bytes of keys sort in the order of the numbers. Integers
 * are below 2^53, except the inode numbers of the host, which may have 64 bits.
 */
import { assert } from './assert.ts';
import type { HostIno } from './brand.ts';

/** The weight of the high word when two 32-bit words make up a number. */
export const TWO_32 = 2 ** 32;
/** The high word of a number below 2^53 is below this. */
export const HIGH_MAX = 2 ** 21;

/** Appends fields to a buffer that grows; reuse one writer and call `reset` to allocate nothing per record. */
export class ByteWriter {
  buffer: Buffer;
  /** A view of `buffer`, for formats that write fixed fields themselves. */
  fields: DataView;
  length = 0;

  constructor(capacityBytes = 512) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
    this.fields = new DataView(this.buffer.buffer);
  }

  reset(): this {
    this.length = 0;
    return this;
  }

  /** Makes room for `bytes` bytes and returns the offset at which they begin. May replace `buffer` and `fields`. */
  skip(bytes: number): number {
    const at = this.length;
    const need = at + bytes;
    if (need > this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(need, this.buffer.length * 2));
      this.buffer.copy(grown, 0, 0, at);
      this.buffer = grown;
      this.fields = new DataView(grown.buffer);
    }
    this.length = need;
    return at;
  }

  u8(value: number): this {
    const at = this.skip(1);
    this.buffer[at] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.skip(4);
    this.buffer.writeUInt32LE(value, at);
    return this;
  }

  /** A whole number in [0, 2^53), as eight bytes. */
  u64(value: number): this {
    const at = this.skip(8);
    const high = Math.floor(value / TWO_32);
    this.buffer.writeUInt32LE(value - high * TWO_32, at);
    this.buffer.writeUInt32LE(high, at + 4);
    return this;
  }

  /** A whole number in (-2^53, 2^53), as eight bytes, two's complement. */
  i64(value: number): this {
    const at = this.skip(8);
    const high = Math.floor(value / TWO_32);
    this.buffer.writeUInt32LE(value - high * TWO_32, at);
    this.buffer.writeInt32LE(high, at + 4);
    return this;
  }

  /** LEB128, unsigned: seven bits per byte, low bits first. Whole numbers in [0, 2^53). */
  varint(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      const high = Math.floor(rest / 0x80);
      this.u8((rest - high * 0x80) | 0x80);
      rest = high;
    }
    return this.u8(rest);
  }

  /** Like `varint`, but for up to 64 bits: ten bytes at most. */
  hostIno(value: HostIno): this {
    if (typeof value === 'number') return this.varint(value);
    let rest = value;
    for (; rest >= 0x80n; rest >>= 7n) this.u8(Number(rest & 0x7fn) | 0x80);
    return this.u8(Number(rest));
  }

  /** A byte string (one character per byte), after its length as a varint. */
  byteString(value: string): this {
    this.varint(value.length);
    const at = this.skip(value.length);
    this.buffer.write(value, at, 'latin1');
    return this;
  }

  /** Bytes, after their length as a varint. */
  bytes(value: Uint8Array): this {
    this.varint(value.length);
    return this.raw(value);
  }

  raw(value: Uint8Array): this {
    const at = this.skip(value.length);
    this.buffer.set(value, at);
    return this;
  }

  /** The bytes written; valid until the next `reset` or write. */
  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  /** A copy of the bytes written. */
  take(): Buffer {
    return Buffer.from(this.view());
  }
}

/** `ByteReader` throws this if the bytes end early or a field is out of range. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** Reads fields in the order they were written. Every read is bounds-checked: damaged bytes give a DecodeError. */
export class ByteReader {
  buffer: Buffer;
  offset: number;
  end: number;

  constructor(buffer: Buffer, offset = 0, end = buffer.length) {
    this.buffer = buffer;
    this.offset = offset;
    this.end = end;
    this.reset(buffer, offset, end);
  }

  /** Makes the reader read other bytes, so that one reader can serve many records. */
  reset(buffer: Buffer, offset: number, end: number): this {
    assert(end <= buffer.length, 'reader ends inside its buffer');
    this.buffer = buffer;
    this.offset = offset;
    this.end = end;
    return this;
  }

  private advance(bytes: number): number {
    const at = this.offset;
    if (at + bytes > this.end)
      throw new DecodeError(`${bytes} bytes wanted at ${at}, the record ends at ${this.end}`);
    this.offset = at + bytes;
    return at;
  }

  get isAtEnd(): boolean {
    return this.offset === this.end;
  }

  u8(): number {
    return this.buffer[this.advance(1)]!;
  }

  u32(): number {
    return this.buffer.readUInt32LE(this.advance(4));
  }

  u64(): number {
    const at = this.advance(8);
    const value = this.buffer.readUInt32LE(at) + this.buffer.readUInt32LE(at + 4) * TWO_32;
    if (!Number.isSafeInteger(value)) throw new DecodeError(`number at ${at} is not below 2^53`);
    return value;
  }

  i64(): number {
    const at = this.advance(8);
    const value = this.buffer.readUInt32LE(at) + this.buffer.readInt32LE(at + 4) * TWO_32;
    if (!Number.isSafeInteger(value)) throw new DecodeError(`number at ${at} is not within 2^53`);
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw new DecodeError('varint is not below 2^53');
        return value;
      }
      scale *= 0x80;
    }
    throw new DecodeError('varint is longer than eight bytes');
  }

  hostIno(): HostIno {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (value >= 2n ** 64n) break;
      return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
    }
    throw new DecodeError('inode number of the host is not below 2^64');
  }

  byteString(): string {
    const length = this.varint();
    const at = this.advance(length);
    return this.buffer.toString('latin1', at, at + length);
  }

  bytes(): Buffer {
    const length = this.varint();
    const at = this.advance(length);
    return Buffer.from(this.buffer.subarray(at, at + length));
  }
}
