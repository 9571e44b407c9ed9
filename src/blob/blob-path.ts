/** Where blobs lie: `<directory>/<low byte of the id, hex>/<id, 16 hex digits>`, the checksums beside it in `.sum`. */
import type { BlobId } from '../base/index.ts';

const BLOB_NAME = /^[0-9a-f]{16}$/;

export function blobName(id: BlobId): string {
  return id.toString(16).padStart(16, '0');
}

/** The 256 folders spread directory entries, and with them the host's directory locks. */
export function blobFolder(directory: string, id: BlobId): string {
  return `${directory}/${blobName(id).slice(-2)}`;
}

export function blobPath(directory: string, id: BlobId): string {
  return `${blobFolder(directory, id)}/${blobName(id)}`;
}

export function sumPath(directory: string, id: BlobId): string {
  return `${blobPath(directory, id)}.sum`;
}

/** The id in a file name, undefined when the name is not that of a blob in this folder. */
export function parseBlobName(folder: string, name: string): BlobId | undefined {
  if (!BLOB_NAME.test(name) || name.slice(-2) !== folder) return undefined;
  const id = Number.parseInt(name, 16);
  // A safe integer from 1 is what BlobId means.
  return Number.isSafeInteger(id) && id > 0 ? (id as BlobId) : undefined;
}
