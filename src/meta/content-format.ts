/**
 * Bytes of a row of the content table, which says where a file's content is stored, by its hash. Key: see key-format.
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
