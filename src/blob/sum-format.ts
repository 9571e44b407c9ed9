/**
 * The checksum file of a sealed blob, `<blob id>.sum`. Little-endian throughout.
 *
 *     offset      bytes  field
 *     0           8      magic "RAMETSUM"
 *     8           4      format version, 1
 *     12          4      zero
 *     16          8      blob id
 *     24          8      block count n
 *     32          8 n    checksum64 of each block, seed 0; a hole, and the missing part of a last block that is not
 *                        full, count as zeros
 *     32 + 8 n    8      checksum64 of everything before it, seed 0
 */
import { endianness } from 'node:os';
import { BLOCK_SIZE, type BlobId, ByteReader, ByteWriter, checksum64, DecodeError } from '../base/index.ts';

const MAGIC = Buffer.from('RAMETSUM', 'latin1');
const VERSION = 1;
const HEADER_BYTES = 32;
const SUM_BYTES = 8;

/** The checksum of a block of zeros, and so of a hole. */
export const ZERO_BLOCK_SUM = checksum64(new Uint8Array(BLOCK_SIZE));

/** Bytes of a checksum file for `count` blocks. */
export function sumFileBytes(count: number): number {
  return HEADER_BYTES + SUM_BYTES * count + SUM_BYTES;
}

/** Converts sums in place between the machine's byte order and little-endian. */
function orderSums(bytes: Buffer): void {
  if (endianness() === 'BE') bytes.swap64();
}

/** The first `count` of `sums` in their stored form: little-endian, one after another. */
export function sumBytes(sums: BigUint64Array, count: number): Buffer {
  const bytes = Buffer.from(sums.slice(0, count).buffer);
  orderSums(bytes);
  return bytes;
}

/** A whole checksum file with the first `count` of `sums`. */
export function encodeSums(id: BlobId, sums: BigUint64Array, count: number): Buffer {
  const file = Buffer.alloc(sumFileBytes(count));
  const header = new ByteWriter(HEADER_BYTES).raw(MAGIC).u32(VERSION).u32(0).u64(id).u64(count);
  header.view().copy(file);
  const body = file.subarray(HEADER_BYTES, HEADER_BYTES + SUM_BYTES * count);
  body.set(new Uint8Array(sums.buffer, sums.byteOffset, SUM_BYTES * count));
  orderSums(body);
  const end = HEADER_BYTES + body.length;
  file.writeBigUInt64LE(checksum64(file.subarray(0, end)), end);
  return file;
}

/** The sums in a whole checksum file. Throws a DecodeError that says what is wrong with the file. */
export function decodeSums(id: BlobId, file: Buffer): BigUint64Array {
  const reader = new ByteReader(file);
  for (const byte of MAGIC) if (reader.u8() !== byte) throw new DecodeError('it is not a checksum file');
  const version = reader.u32();
  if (version !== VERSION)
    throw new DecodeError(`its format version is ${version}, this release reads ${VERSION}`);
  if (reader.u32() !== 0) throw new DecodeError('a reserved field is not zero');
  const blob = reader.u64();
  if (blob !== id) throw new DecodeError(`it belongs to blob ${blob}`);
  const count = reader.u64();
  if (file.length !== sumFileBytes(count)) {
    throw new DecodeError(`${count} blocks take ${sumFileBytes(count)} bytes, it has ${file.length}`);
  }
  const end = file.length - SUM_BYTES;
  if (checksum64(file.subarray(0, end)) !== file.readBigUInt64LE(end)) {
    throw new DecodeError('its own checksum does not match');
  }
  const sums = new BigUint64Array(count);
  const bytes = Buffer.from(sums.buffer);
  bytes.set(file.subarray(HEADER_BYTES, end));
  orderSums(bytes);
  return sums;
}
