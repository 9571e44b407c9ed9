/** The state that one process has of one blob. `BlobFiles`, `BlobSpace` and `WindowPool` each own a part of it. */
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
  /** -1 while not open. */
  fd = -1;
  isWritable = false;
  pins = 0;
  lastUse = 0;
  /** Descriptors that were replaced while pinned; closed at the last unpin. */
  readonly retired: number[] = [];
  /** Whether the file's name survives a power cut: once this process, or the one that made it, has synced it. */
  isNameDurable = true;
  /** Length of the file when last read; it shrinks only when an unused tail is cut. */
  sizeBytes = 0;

  // Owned by BlobSpace.
  /** Blocks that this process has read and verified, or written. Has room for all of `sizeBytes`. */
  readonly touched = new BlockBitmap();
  /** 'unknown' until the checksums are looked for. */
  sumState: 'unknown' | 'none' | 'loaded' | 'damaged' = 'unknown';
  sums: BigUint64Array | undefined;
  /** What is wrong with the checksum file when `sumState` is 'damaged'. */
  sumError: DamagedBlobError | undefined;

  // Owned by WindowPool.
  /** By window index: position / 16 MiB. */
  readonly windows: (Window | undefined)[] = [];
  /** By window index: reads that found all windows in use for other pieces. */
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
