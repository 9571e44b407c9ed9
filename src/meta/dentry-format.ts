/**
 * Bytes of a row of the dentry table. Key: see key-format.
 *
 *   at  bytes
 *    0  u64   inode; 0 is a whiteout: the name does not exist, whatever the lower layers say
 *    8  u8    type as in struct dirent's d_type (DT_REG 8, DT_DIR 4, DT_LNK 10, …; readdir(3)); 0 for a whiteout
 */
import { DecodeError, HIGH_MAX, type Ino, TWO_32 } from '../base/index.ts';
import type { Format } from './fields.ts';

export interface DentryRecord {
  /** 0 is a whiteout. */
  ino: Ino;
  /** DT_* value of readdir(3). */
  kind: number;
}

const RECORD_BYTES = 9;

/** Reading makes nothing but the record. */
export const dentryFormat: Format<DentryRecord> = {
  write: (writer, { ino, kind }) => void writer.u64(ino).u8(kind),
  read(reader) {
    const { buffer: bytes, offset: at, end } = reader;
    if (end - at !== RECORD_BYTES) throw new DecodeError(`dentry record has ${end - at} bytes`);
    const high = bytes.readUInt32LE(at + 4);
    if (high >= HIGH_MAX) throw new DecodeError('inode number is not below 2^53');
    reader.offset = end;
    // The field holds what was written: an inode number.
    return { ino: (high * TWO_32 + bytes.readUInt32LE(at)) as Ino, kind: bytes[at + 8]! };
  },
};
