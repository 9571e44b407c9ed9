/**
 * Bytes of a row of the dentry table, and nothing else. Key: see key-format.
 *
 *   at  bytes
 *    0  u64   inode; 0 is a whiteout: the name is not there, whatever the lower layers say
 *    8  u8    type as in struct dirent's d_type (DT_REG 8, DT_DIR 4, DT_LNK 10, …; readdir(3)); 0 for a whiteout
 */
import { type ByteWriter, DecodeError, HIGH_MAX, type Ino, TWO_32 } from '../base/index.ts';

export interface DentryRecord {
  /** 0 is a whiteout. */
  ino: Ino;
  /** DT_* value of readdir(3). */
  kind: number;
}

const RECORD_BYTES = 9;

export function encodeDentry(writer: ByteWriter, dentry: DentryRecord): void {
  writer.u64(dentry.ino).u8(dentry.kind);
}

/** Decodes `bytes[at..end]`; makes nothing but the record. */
export function decodeDentry(bytes: Buffer, at: number, end: number): DentryRecord {
  if (end - at !== RECORD_BYTES) throw new DecodeError(`dentry record has ${end - at} bytes`);
  const high = bytes.readUInt32LE(at + 4);
  if (high >= HIGH_MAX) throw new DecodeError('inode number is not below 2^53');
  const ino = (high * TWO_32 + bytes.readUInt32LE(at)) as Ino; // The field holds what encodeDentry wrote.
  return { ino, kind: bytes[at + 8]! };
}
