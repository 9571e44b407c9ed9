/**
 * Bytes of a row of the content table (where a file's content already lies, by its hash), and nothing else.
 * Key: see key-format.
 *
 *   varint  blob
 *   varint  first block in the blob
 *   varint  size in bytes
 */
import type { BlobId, ByteReader, ByteWriter } from '../base/index.ts';

export interface ContentRecord {
  blob: BlobId;
  /** First block in the blob. */
  physical: number;
  sizeBytes: number;
}

export function encodeContent(writer: ByteWriter, content: ContentRecord): void {
  writer.varint(content.blob).varint(content.physical).varint(content.sizeBytes);
}

export function decodeContent(reader: ByteReader): ContentRecord {
  return {
    blob: reader.varint() as BlobId, // The field holds what encodeContent wrote: a blob's number.
    physical: reader.varint(),
    sizeBytes: reader.varint(),
  };
}
