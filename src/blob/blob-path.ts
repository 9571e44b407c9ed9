/** Paths of blobs: `<directory>/<low byte of the id, hex>/<id, 16 hex digits>`; the checksum file adds `.sum`. */
import { type BlobId, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';

const BLOB_NAME = /^[0-9a-f]{16}$/;

export function blobName(id: BlobId): string {
  return id.toString(16).padStart(16, '0');
}

/** One of 256 folders, so that processes rarely wait for the lock that the host takes on a directory. */
export function blobFolder(directory: string, id: BlobId): string {
  return `${directory}/${blobName(id).slice(-2)}`;
}

export function blobPath(directory: string, id: BlobId): string {
  return `${blobFolder(directory, id)}/${blobName(id)}`;
}

export function sumPath(directory: string, id: BlobId): string {
  return `${blobPath(directory, id)}.sum`;
}

/** The id in a file name; undefined if the name is not that of a blob in this folder. */
export function parseBlobName(folder: string, name: string): BlobId | undefined {
  if (!BLOB_NAME.test(name) || name.slice(-2) !== folder) return undefined;
  const id = Number.parseInt(name, 16);
  // The cast: a safe integer from 1 is a blob's id.
  return Number.isSafeInteger(id) && id > 0 ? (id as BlobId) : undefined;
}

export function isThere(system: System, path: string): boolean {
  try {
    system.statHost(Buffer.from(path), false);
    return true;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return false;
    throw error;
  }
}
