/** The error for a damaged blob: an EIO that names the blob and the block. */
import { BLOCK_SIZE, type BlobId, type BlockIndex, FsError } from '../base/index.ts';
import { blobName } from './blob-path.ts';

export class DamagedBlobError extends FsError {
  readonly blob: BlobId;
  /** Undefined when the whole blob cannot be read: its file is missing, or its checksum file is damaged. */
  readonly block: BlockIndex | undefined;

  constructor(blob: BlobId, block: BlockIndex | undefined, problem: string) {
    const where = block === undefined ? `blob ${blobName(blob)}` : `blob ${blobName(blob)} block ${block}`;
    super('EIO', { syscall: 'read', note: `${where}: ${problem}` });
    this.blob = blob;
    this.block = block;
  }
}

/** The error for a blob whose file ends before the bytes that a caller wants. */
export function shortBlob(blob: BlobId, sizeBytes: number, endBytes: number): DamagedBlobError {
  // The cast: the block that the file's end lies in.
  const block = Math.floor(sizeBytes / BLOCK_SIZE) as BlockIndex;
  return new DamagedBlobError(blob, block, `its file has ${sizeBytes} bytes, ${endBytes} are wanted`);
}
