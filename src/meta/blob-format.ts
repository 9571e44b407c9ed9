/**
 * Bytes of a row of the blob table. Key: see key-format.
 *
 *   u8      kind: 1 packed, 2 own, 3 active
 *   u8      state: 1 building, 2 active, 3 frozen, 4 sealed
 *   varint  layer that the blob was made for
 *   varint  length in blocks
 *   varint  length in bytes; a whole number of blocks except in a file's own blob
 *   i64     created, seconds; u32 nanoseconds
 */
import type { LayerId, Timespec } from '../base/index.ts';
import { layerNumber, oneOf, record, timespec, varint } from './fields.ts';

/** packed: many small files of an import; own: one large file; active: what a writable layer appends to. */
export type BlobKind = 'packed' | 'own' | 'active';
export type BlobState = 'building' | 'active' | 'frozen' | 'sealed';

export interface BlobRecord {
  kind: BlobKind;
  state: BlobState;
  layer: LayerId;
  lengthBlocks: number;
  lengthBytes: number;
  created: Timespec;
}

export const blobFormat = record<BlobRecord>({
  kind: oneOf('blob kind', 'packed', 'own', 'active'),
  state: oneOf('blob state', 'building', 'active', 'frozen', 'sealed'),
  layer: layerNumber,
  lengthBlocks: varint(),
  lengthBytes: varint(),
  created: timespec,
});
