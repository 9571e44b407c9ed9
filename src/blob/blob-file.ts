/** What one process knows of one blob. State only; `BlobFiles`, `WindowPool` and `BlobSpace` each own some of it. */
import { type Address, type BlobId, blocksFor } from '../base/index.ts';
import { BlockBitmap } from './block-bitmap.ts';
import type { DamagedBlobError } from './damage.ts';

/** Whether the blob's checksums are known: not looked for yet, there are none, loaded, or their file is damaged. */
export type SumState = 'unknown' | 'none' | 'loaded' | 'damaged';

/** A mapped piece of a blob; see WindowPool. */
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
  /** -1 while not open. */
  fd = -1;
  isWritable = false;
  pins = 0;
  lastUse = 0;
  /** Descriptors that were replaced while pinned; closed at the last unpin. */
  readonly retired: number[] = [];
  /** Whether the file's name survives a power cut: not before it was synced, here or by the process that made it. */
  isNameDurable = true;
  /** Length of the file as last seen; it shrinks only when an unused tail is cut. */
  sizeBytes = 0;

  // Owned by BlobSpace.
  /** Blocks that were read and verified, or written, by this process. Has room for all of `sizeBytes`. */
  readonly touched = new BlockBitmap();
  sumState: SumState = 'unknown';
  sums: BigUint64Array | undefined;
  /** What is wrong with the checksum file, while `sumState` is 'damaged'. */
  sumError: DamagedBlobError | undefined;

  // Owned by WindowPool.
  /** By window index: position / 16 MiB. */
  readonly windows: (Window | undefined)[] = [];
  /** By window index: reads that found all windows in use by others. */
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
