/** Checksum files: loading them, and storing them so that a power cut leaves either none or a whole one. */
import { type BlobId, DecodeError, FsError, isFsError } from '../base/index.ts';
import { O_CREAT, O_RDONLY, O_WRONLY, type System } from '../sys/index.ts';
import { blobFolder, sumPath } from './blob-path.ts';
import type { BlockSums } from './block-sums.ts';
import { DamagedBlobError } from './damage.ts';
import { decodeSums, encodeSums } from './sum-format.ts';

/** The checksums of a blob, undefined when it is not sealed. A damaged file is a DamagedBlobError that names it. */
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
    // Not a DamagedBlobError, which is remembered: a disk may recover.
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
 * Stores the checksums of blobs; they are durable when this returns. The blobs' own bytes must be already. Two
 * processes may do so at once: both write the same bytes, into one file or two, and the last name stands.
 */
export function storeSums(system: System, directory: string, blobs: readonly SumsOfBlob[]): void {
  const descriptors: number[] = [];
  try {
    for (const { id, sums } of blobs) {
      // Not emptied when it is there: it may be another's, or even have become the file itself meanwhile.
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
    // Another process has just given the file its name.
    if (!isFsError(error, 'ENOENT') || !isThere(system, path)) throw error;
  }
}

function isThere(system: System, path: string): boolean {
  try {
    system.statHost(Buffer.from(path), false);
    return true;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return false;
    throw error;
  }
}
