/** Loads and stores checksum files. A power cut leaves either no checksum file or a whole one. */
import { type BlobId, DecodeError, FsError, isFsError } from '../base/index.ts';
import { O_CREAT, O_RDONLY, O_WRONLY, type System } from '../sys/index.ts';
import { blobFolder, isThere, sumPath } from './blob-path.ts';
import type { BlockSums } from './block-sums.ts';
import { DamagedBlobError } from './damage.ts';
import { decodeSums, encodeSums } from './sum-format.ts';

/** The checksums of a blob; undefined if the blob is not sealed. DamagedBlobError if the checksum file is damaged. */
export function loadSums(system: System, directory: string, id: BlobId): BigUint64Array | undefined {
  const path = sumPath(directory, id);
  let fd: number;
  try {
    fd = system.open(path, O_RDONLY);
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(system.fileSize(fd).sizeBytes);
    const got = system.pread(fd, bytes, 0, bytes.length, 0);
    return decodeSums(id, bytes.subarray(0, got));
  } catch (error) {
    if (error instanceof DecodeError) {
      throw new DamagedBlobError(id, undefined, `its checksum file ${path} is damaged: ${error.message}`);
    }
    // Not a DamagedBlobError: `StoredBytes` would remember that, but the disk may recover.
    if (isFsError(error, 'EIO')) {
      throw new FsError('EIO', { syscall: 'read', note: `the disk cannot read the checksum file ${path}` });
    }
    throw error;
  } finally {
    system.close(fd);
  }
}

/** A blob to seal, and its checksums. */
export interface SumsOfBlob {
  readonly id: BlobId;
  readonly sums: BlockSums;
}

/**
 * Makes the checksums of blobs durable. The blobs' own bytes must be durable already. Two processes may do this at
 * once: both write the same bytes, to the same temporary file or to two, and the last rename wins.
 */
export function storeSums(system: System, directory: string, blobs: readonly SumsOfBlob[]): void {
  const descriptors: number[] = [];
  try {
    for (const { id, sums } of blobs) {
      // Without O_TRUNC, because another process may be writing this file, or may already have given it its final name.
      const fd = system.open(`${sumPath(directory, id)}.tmp`, O_WRONLY | O_CREAT, 0o600);
      descriptors.push(fd);
      const bytes = encodeSums(id, sums.sums, sums.count);
      system.pwrite(fd, bytes, 0, bytes.length, 0);
      if (system.fileSize(fd).sizeBytes > bytes.length) system.truncate(fd, bytes.length);
    }
    for (const fd of descriptors) system.dataSync(fd);
  } finally {
    for (const fd of descriptors) system.close(fd);
  }
  for (const { id } of blobs) nameSums(system, sumPath(directory, id));
  const folders = new Set(blobs.map(({ id }) => blobFolder(directory, id)));
  for (const folder of folders) system.syncDirectory(folder);
}

function nameSums(system: System, path: string): void {
  try {
    system.rename(`${path}.tmp`, path);
  } catch (error) {
    // Another process has just renamed the temporary file.
    if (!isFsError(error, 'ENOENT') || !isThere(system, path)) throw error;
  }
}
