/**
 * Bytes of a row of the content table, which says where the content with a given hash is stored. Key: see key-format.
 *
 *   varint  blob
 *   varint  first block in the blob
 *   varint  size in bytes
 */
import type { BlobId } from '../base/index.ts';
import { BLOCKS_END, numberIn, record, varint } from './fields.ts';

export interface ContentRecord {
  blob: BlobId;
  /** First block in the blob. */
  physical: number;
  sizeBytes: number;
}

export const contentFormat = record<ContentRecord>({
  blob: varint(),
  physical: numberIn('block', 0, BLOCKS_END),
  sizeBytes: varint(),
});
