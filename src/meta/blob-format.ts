/**
 * Bytes of a row of the blob table, and nothing else. Key: see key-format.
 *
 *   u8      kind: 1 packed, 2 own, 3 active
 *   u8      state: 1 building, 2 active, 3 frozen, 4 sealed
 *   varint  layer that the blob was made for
 *   varint  length in blocks
 *   varint  length in bytes (not a whole number of blocks only for a file's own blob)
 *   i64     created, seconds; u32 nanoseconds
 */
import type { ByteReader, ByteWriter, LayerId, Timespec } from '../base/index.ts';
import { DecodeError } from '../base/index.ts';
import { readTimespec, writeTimespec } from './timespec-format.ts';

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

const KINDS: readonly (BlobKind | undefined)[] = [undefined, 'packed', 'own', 'active'];
const STATES: readonly (BlobState | undefined)[] = [undefined, 'building', 'active', 'frozen', 'sealed'];

export function encodeBlob(writer: ByteWriter, blob: BlobRecord): void {
  writer
    .u8(KINDS.indexOf(blob.kind))
    .u8(STATES.indexOf(blob.state))
    .varint(blob.layer)
    .varint(blob.lengthBlocks)
    .varint(blob.lengthBytes);
  writeTimespec(writer, blob.created);
}

export function decodeBlob(reader: ByteReader): BlobRecord {
  const kind = KINDS[reader.u8()];
  const state = STATES[reader.u8()];
  if (kind === undefined || state === undefined) throw new DecodeError('blob kind or state is unknown');
  return {
    kind,
    state,
    layer: reader.varint() as LayerId, // The field holds what encodeBlob wrote: a layer's number.
    lengthBlocks: reader.varint(),
    lengthBytes: reader.varint(),
    created: readTimespec(reader),
  };
}
