/** Checksum files: loading them, and storing them so that a power cut leaves either none or a whole one. */
import { constants } from 'node:fs';
import { type BlobId, DecodeError, FsError, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import { blobFolder, sumPath } from './blob-path.ts';
import { DamagedBlobError } from './damage.ts';
import { decodeSums, encodeSums } from './sum-format.ts';

const { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

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

/** Stores the first `count` of `sums`; they are durable when this returns. The blob's own bytes must be already. */
export function storeSums(
  system: System,
  directory: string,
  id: BlobId,
  sums: BigUint64Array,
  count: number,
): void {
  const path = sumPath(directory, id);
  const temporary = `${path}.tmp`;
  const bytes = encodeSums(id, sums, count);
  const fd = system.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o644);
  try {
    system.pwrite(fd, bytes, 0, bytes.length, 0);
    system.dataSync(fd);
  } finally {
    system.close(fd);
  }
  system.rename(temporary, path);
  system.syncDirectory(blobFolder(directory, id));
}
