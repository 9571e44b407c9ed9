/**
 * Bytes of a journal file. Each writable layer has one.
 *
 *        0  header slot of even generations
 *     1024  header slot of odd generations
 *     2048  owner
 *     4096  records, one after the other, then a u32 zero
 *
 * Header slot. There are two, so that a torn write of one leaves the other. The valid slot with the higher generation
 * counts.
 *
 *     0  8 bytes  "RAMETJNL"
 *     8  u32      format version, 1
 *    12  u64      layer
 *    20  u64      generation
 *    28  u64      sequence of the first record
 *    36  u64      salt: different for every start of the journal
 *    44  u8       length of the boot id, then its bytes, padded with zeros to 64
 *   109  u64      checksum64 of bytes 0 to 108
 *
 * Owner. Separate from the headers because it is rewritten while records are still to be replayed.
 *
 *     0  u32      process id of the last process that locked the file; for messages only
 *     4  u64      checksum64 of bytes 0 to 3
 *
 * Record. A record is valid when its checksum is right under the header's seed and its sequence follows the last one.
 * The seed makes records of an older generation invalid.
 *
 *     0  u32      length of the payload; 0 ends the records
 *     4  u8       kind: 1 effects, 2 commit mark, 3 data (reserved)
 *     5  u64      sequence: one more than the last record's; a mark repeats the last record's
 *    13  …        payload; for a mark one zero byte
 *     …  u64      checksum64 of everything before it, seeded with the checksum64 of
 *                 (u64 layer, u64 generation, u64 salt)
 */
import {
  assert,
  ByteWriter,
  CHECKSUM_BYTES,
  checksum64,
  isChecksum,
  type LayerId,
  TWO_32,
  writeChecksum,
} from '../base/index.ts';
import { Views } from './views.ts';

export const HEADER_BYTES = 4096;
const SLOT_BYTES = 1024;
export const OWNER_AT = 2048;
export const OWNER_BYTES = 4 + CHECKSUM_BYTES;

const MAGIC = Buffer.from('RAMETJNL', 'latin1');
const VERSION = 1;
const BOOT_ID_BYTES_MAX = 64;
const LAYER_AT = 12;
const GENERATION_AT = 20;
const FIRST_SEQUENCE_AT = 28;
const SALT_AT = 36;
const BOOT_ID_AT = 44;
const SLOT_CHECKED_BYTES = BOOT_ID_AT + 1 + BOOT_ID_BYTES_MAX;

/** Length of the part of a record before its payload. */
export const RECORD_HEAD_BYTES = 13;
/** Length of a record without its payload. */
export const RECORD_FIXED_BYTES = RECORD_HEAD_BYTES + CHECKSUM_BYTES;
/** Length of the zero after the last record. */
export const TERMINATOR_BYTES = 4;
/** Length of a mark's payload: not zero, which would read as the terminator. */
export const MARK_PAYLOAD_BYTES = 1;

export const RECORD_KIND = { effects: 1, mark: 2, data: 3 } as const;

export interface JournalHeader {
  readonly layer: LayerId;
  readonly generation: number;
  readonly firstSequence: number;
  readonly salt: bigint;
  readonly bootId: string;
}

function writeNumber(target: Buffer, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  target.writeUInt32LE(value - high * TWO_32, at);
  target.writeUInt32LE(high, at + 4);
}

/** Reads a u64 as a number. Values from 2^53 on are not exact, but such bytes have no valid checksum. */
export function readNumber(source: Buffer, at: number): number {
  return source.readUInt32LE(at + 4) * TWO_32 + source.readUInt32LE(at);
}

/** The offset of the slot for the header of a generation. */
export function slotAt(generation: number): number {
  return (generation % 2) * SLOT_BYTES;
}

/** The bytes of a header slot. */
export function encodeHeader(header: JournalHeader): Buffer {
  const bootId = Buffer.from(header.bootId, 'latin1');
  assert(bootId.length <= BOOT_ID_BYTES_MAX, `boot id has at most ${BOOT_ID_BYTES_MAX} bytes`);
  const bytes = Buffer.alloc(SLOT_CHECKED_BYTES + CHECKSUM_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, MAGIC.length);
  writeNumber(bytes, LAYER_AT, header.layer);
  writeNumber(bytes, GENERATION_AT, header.generation);
  writeNumber(bytes, FIRST_SEQUENCE_AT, header.firstSequence);
  bytes.writeBigUInt64LE(header.salt, SALT_AT);
  bytes[BOOT_ID_AT] = bootId.length;
  bootId.copy(bytes, BOOT_ID_AT + 1);
  writeChecksum(bytes, SLOT_CHECKED_BYTES, bytes.subarray(0, SLOT_CHECKED_BYTES));
  return bytes;
}

function decodeSlot(page: Buffer, at: number, layer: LayerId): JournalHeader | undefined {
  const slot = page.subarray(at, at + SLOT_BYTES);
  if (!isChecksum(slot, SLOT_CHECKED_BYTES, slot.subarray(0, SLOT_CHECKED_BYTES))) return undefined;
  if (!slot.subarray(0, MAGIC.length).equals(MAGIC) || slot.readUInt32LE(MAGIC.length) !== VERSION)
    return undefined;
  if (readNumber(slot, LAYER_AT) !== layer) return undefined;
  const generation = readNumber(slot, GENERATION_AT);
  if (slotAt(generation) !== at) return undefined;
  return {
    layer,
    generation,
    firstSequence: readNumber(slot, FIRST_SEQUENCE_AT),
    salt: slot.readBigUInt64LE(SALT_AT),
    bootId: slot.toString('latin1', BOOT_ID_AT + 1, BOOT_ID_AT + 1 + slot[BOOT_ID_AT]!),
  };
}

/** Reads the header from the first `HEADER_BYTES` of a file. Undefined if neither slot is valid. */
export function decodeHeader(page: Buffer, layer: LayerId): JournalHeader | undefined {
  const even = decodeSlot(page, 0, layer);
  const odd = decodeSlot(page, SLOT_BYTES, layer);
  return odd === undefined || (even !== undefined && even.generation > odd.generation) ? even : odd;
}

/** The seed for the checksums of the records that belong to a header. */
export function recordSeed(header: JournalHeader): bigint {
  const bytes = Buffer.alloc(24);
  writeNumber(bytes, 0, header.layer);
  writeNumber(bytes, 8, header.generation);
  bytes.writeBigUInt64LE(header.salt, 16);
  return checksum64(bytes);
}

export function encodeOwner(pid: number): Buffer {
  const bytes = Buffer.alloc(OWNER_BYTES);
  bytes.writeUInt32LE(pid);
  writeChecksum(bytes, 4, bytes.subarray(0, 4));
  return bytes;
}

/** The process id in a header page; undefined when its checksum is wrong. */
export function decodeOwner(page: Buffer): number | undefined {
  const owner = page.subarray(OWNER_AT, OWNER_AT + OWNER_BYTES);
  return isChecksum(owner, 4, owner.subarray(0, 4)) ? owner.readUInt32LE(0) : undefined;
}

/** Builds records in one reused buffer: a record of usual size costs no allocation. */
export class RecordWriter {
  private readonly writer = new ByteWriter(8192);
  private readonly views = new Views();

  get buffer(): Buffer {
    return this.writer.buffer;
  }

  /** Writes the record and the terminator to the start of `buffer`. Returns the length of the record alone. */
  write(kind: number, sequence: number, payload: Uint8Array, seed: bigint): number {
    const writer = this.writer.reset();
    writer.u32(payload.length).u8(kind).u64(sequence).raw(payload);
    const checked = writer.length;
    writer.u64(0).u32(0);
    writeChecksum(writer.buffer, checked, this.views.of(writer.buffer, checked), seed);
    return checked + CHECKSUM_BYTES;
  }
}
