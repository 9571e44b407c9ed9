/** Loads and stores checksum files, so that a power cut leaves either none or a whole one. */
import { type BlobId, DecodeError, FsError, isFsError } from '../base/index.ts';
import { O_CREAT, O_RDONLY, O_WRONLY, type System } from '../sys/index.ts';
import { blobFolder, isThere, sumPath } from './blob-path.ts';
import type { BlockSums } from './block-sums.ts';
import { DamagedBlobError } from './damage.ts';
import { decodeSums, encodeSums } from './sum-format.ts';

/** The checksums of a blob, undefined when it is not sealed. DamagedBlobError when the checksum file is damaged. */
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
    // Not a DamagedBlobError, which would be remembered: a disk may recover.
    if (isFsError(error, 'EIO')) {
      throw new FsError('EIO', { syscall: 'read', note: `the disk cannot read the checksum file ${path}` });
    }
    throw error;
  } finally {
    system.close(fd);
  }
}

/** The checksums of a blob that is to be sealed. */
export interface SumsOfBlob {
  readonly id: BlobId;
  readonly sums: BlockSums;
}

/**
 * Makes the checksums of blobs durable. The blobs' own bytes must be durable already. Two processes may do this at
 * once: both write the same bytes, into one file or two, and the last rename wins.
 */
export function storeSums(system: System, directory: string, blobs: readonly SumsOfBlob[]): void {
  const descriptors: number[] = [];
  try {
    for (const { id, sums } of blobs) {
      // Not truncated: the file may be another process's, which may have renamed it meanwhile.
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
    // Another process has just renamed it.
    if (!isFsError(error, 'ENOENT') || !isThere(system, path)) throw error;
  }
}
