/**
 * Bytes that say which directory of the host one is, as a part of rows of layers and trees, and nothing else.
 *
 *   varint  inode; u8 1 when its birth follows, else 0; i64 seconds; u32 nanoseconds
 *
 * and, apart from these since it came later:
 *
 *   varint  length, then bytes: UUID of the filesystem; empty where it was not known
 *   varint  number of the subvolume and 1; 0 where it was not known
 */
import {
  type ByteReader,
  type ByteWriter,
  type HostIno,
  isSameTimespec,
  type Timespec,
} from '../base/index.ts';
import { readTimespec, writeTimespec } from './timespec-format.ts';

/**
 * Identifies a directory of the host, as far as that outlives a mount. It is not unique: a copy of a filesystem
 * has the same, so it is only ever compared with what was at the same place before.
 */
export interface HostIdentity {
  readonly ino: HostIno;
  /** Undefined where the host keeps no birth times. */
  readonly birth: Timespec | undefined;
  /** 32 hex digits. Undefined where the kernel tells none. */
  readonly fileSystemUuid: string | undefined;
  /** Of a filesystem of several parts with inode numbers of their own. Undefined where the kernel tells none. */
  readonly subvolume: number | undefined;
}

export function writeInodeAndBirth(writer: ByteWriter, { ino, birth }: HostIdentity): void {
  writer.hostIno(ino).u8(birth === undefined ? 0 : 1);
  if (birth !== undefined) writeTimespec(writer, birth);
}

export function readInodeAndBirth(reader: ByteReader): Pick<HostIdentity, 'ino' | 'birth'> {
  const ino = reader.hostIno();
  return { ino, birth: reader.u8() === 0 ? undefined : readTimespec(reader) };
}

export function writeFileSystem(writer: ByteWriter, { fileSystemUuid, subvolume }: HostIdentity): void {
  writer.bytes(Buffer.from(fileSystemUuid ?? '', 'hex')).varint(subvolume === undefined ? 0 : subvolume + 1);
}

/** Rows that were written before these fields end here. */
export function readFileSystem(reader: ByteReader): Pick<HostIdentity, 'fileSystemUuid' | 'subvolume'> {
  if (reader.isAtEnd) return { fileSystemUuid: undefined, subvolume: undefined };
  const uuid = reader.bytes().toString('hex');
  const subvolume = reader.varint();
  return {
    fileSystemUuid: uuid === '' ? undefined : uuid,
    subvolume: subvolume === 0 ? undefined : subvolume - 1,
  };
}

/** Whether what is at a place may be what was there; a field that only one of the two has is ignored. */
export function isSameDirectory(then: HostIdentity, now: HostIdentity): boolean {
  const differs = <T>(a: T | undefined, b: T | undefined): boolean =>
    a !== undefined && b !== undefined && a !== b;
  return (
    then.ino === now.ino &&
    isSameTimespec(then.birth, now.birth) &&
    !differs(then.fileSystemUuid, now.fileSystemUuid) &&
    !differs(then.subvolume, now.subvolume)
  );
}
