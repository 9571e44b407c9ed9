/** State of one blob in this process. `BlobFiles`, `BlobSpace` and `WindowPool` each own some of its fields. */
import { type Address, type BlobId, blocksFor } from '../base/index.ts';
import { BlockBitmap } from './block-bitmap.ts';
import type { DamagedBlobError } from './damage.ts';

/** A mapped piece of a blob: see WindowPool. */
export interface Window {
  readonly file: BlobFile;
  readonly index: number;
  readonly address: Address;
  readonly bytes: Buffer;
  lastUse: number;
}

export class BlobFile {
  readonly id: BlobId;
  readonly path: string;

  // Owned by BlobFiles.
  /** The descriptor; -1 while the file is not open. */
  fd = -1;
  isWritable = false;
  pins = 0;
  lastUse = 0;
  /** Descriptors that were replaced while the file was pinned; `BlobFiles` closes them at the last unpin. */
  readonly retired: number[] = [];
  /**
   * True if the file's name survives a power cut: this process, or the one that made the file, has synced its folder.
   */
  isNameDurable = true;
  /** Length of the file when this process last looked. A file shrinks only when its writer cuts an unused tail. */
  sizeBytes = 0;

  // Owned by BlobSpace.
  /** Blocks that this process has read and verified, or written. Has room for all of `sizeBytes`. */
  readonly touched = new BlockBitmap();
  /** State of the checksum file; 'unknown' until this process looks for the file. */
  sumState: 'unknown' | 'none' | 'loaded' | 'damaged' = 'unknown';
  sums: BigUint64Array | undefined;
  /** What is wrong with the checksum file when `sumState` is 'damaged'. */
  sumError: DamagedBlobError | undefined;

  // Owned by WindowPool.
  /** The open windows by index, which is position / 16 MiB. */
  readonly windows: (Window | undefined)[] = [];
  /** By window index: how many reads found no window there while the pool had no window to spare. */
  readonly readsWithoutWindow = new Map<number, number>();

  constructor(id: BlobId, path: string) {
    this.id = id;
    this.path = path;
  }

  setSize(sizeBytes: number): void {
    this.touched.grow(blocksFor(sizeBytes));
    this.sizeBytes = sizeBytes;
  }
}
