/**
 * Bytes of a row of the dentry table. Key: see key-format.
 *
 *   at  bytes
 *    0  u64   inode; 0 is a whiteout: the name does not exist, whatever the lower layers say
 *    8  u8    type as in struct dirent's d_type (DT_REG 8, DT_DIR 4, DT_LNK 10, …; readdir(3)); 0 for a whiteout
 */
import { DecodeError, type Ino, TWO_32 } from '../base/index.ts';
import { type Format, INO_END } from './fields.ts';

export interface DentryRecord {
  /** 0 is a whiteout. */
  ino: Ino;
  /** DT_* value of readdir(3). */
  kind: number;
}

const RECORD_BYTES = 9;

/** DecodeError for an inode number or a type that no dentry can have. */
export function dentryOf(ino: number, kind: number): DentryRecord {
  if (ino >= INO_END) throw new DecodeError('its inode number is too large');
  // Types are even numbers up to 12, and DT_FIFO, which is 1.
  const isKind = kind === 1 || (kind > 0 && kind <= 12 && kind % 2 === 0);
  if (ino === 0 ? kind !== 0 : !isKind) throw new DecodeError(`its type ${kind} is invalid`);
  return { ino: ino as Ino, kind }; // An inode number, as just checked.
}

/** Reading allocates nothing but the record. */
export const dentryFormat: Format<DentryRecord> = {
  write: (writer, { ino, kind }) => void writer.u64(ino).u8(kind),
  read(reader) {
    const { buffer: bytes, offset: at, end } = reader;
    if (end - at !== RECORD_BYTES) throw new DecodeError(`dentry record has ${end - at} bytes`);
    const high = bytes.readUInt32LE(at + 4);
    reader.offset = end;
    return dentryOf(high * TWO_32 + bytes.readUInt32LE(at), bytes[at + 8]!);
  },
};
