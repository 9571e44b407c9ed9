/**
 * Bytes of a row of the external table: a host file that stands for a blob. Key: see key-format.
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
import type { HostIno, LayerId, Timespec } from '../base/index.ts';
import { layerNumber, pathBelow, record, timespec, varint } from './fields.ts';
import { inodeAndBirth } from './host-format.ts';

/** A host file as it was when it was copied up. A host file that no longer matches counts as another file. */
export interface ExternalRecord {
  /** The host tree that the file belongs to. */
  layer: LayerId;
  ino: HostIno;
  /** Undefined where the host keeps no birth times. */
  birth: Timespec | undefined;
  sizeBytes: number;
  modified: Timespec;
  changed: Timespec;
  /** Path from the root of the host tree, a byte string. */
  path: string;
}

export const externalFormat = record<ExternalRecord>({
  layer: layerNumber,
  ...inodeAndBirth,
  sizeBytes: varint(),
  modified: timespec,
  changed: timespec,
  path: pathBelow,
});
