/**
 * Bytes of a row of the external table (ranges of host files as blobs), and nothing else. Key: see key-format.
 *
 *   varint  layer: the host tree that the file belongs to
 *   varint  inode of the host file
 *   u8      1 when the next field is there, else 0
 *   i64     birth, seconds; u32 nanoseconds
 *   varint  size in bytes
 *   i64     modified, seconds; u32 nanoseconds
 *   i64     changed, seconds; u32 nanoseconds
 *   varint  length, then bytes: path of the file from the root of its host tree
 */
import type { ByteReader, ByteWriter, HostIno, LayerId, Timespec } from '../base/index.ts';
import { readTimespec, writeTimespec } from './timespec-format.ts';

/** A host file as it was when it was copied up: what no longer matches is another file. */
export interface ExternalRecord {
  /** The host tree that the file belongs to. */
  layer: LayerId;
  ino: HostIno;
  /** Undefined where the host keeps no birth times. */
  birth: Timespec | undefined;
  sizeBytes: number;
  modified: Timespec;
  changed: Timespec;
  /** From the root of its host tree, a byte string. */
  path: string;
}

export function encodeExternal(writer: ByteWriter, external: ExternalRecord): void {
  writer.varint(external.layer).hostIno(external.ino);
  writer.u8(external.birth === undefined ? 0 : 1);
  if (external.birth !== undefined) writeTimespec(writer, external.birth);
  writer.varint(external.sizeBytes);
  writeTimespec(writer, external.modified);
  writeTimespec(writer, external.changed);
  writer.byteString(external.path);
}

export function decodeExternal(reader: ByteReader): ExternalRecord {
  return {
    layer: reader.varint() as LayerId, // The field holds what encodeExternal wrote: a layer's number.
    ino: reader.hostIno(),
    birth: reader.u8() === 0 ? undefined : readTimespec(reader),
    sizeBytes: reader.varint(),
    modified: readTimespec(reader),
    changed: readTimespec(reader),
    path: reader.byteString(),
  };
}
