/**
 * How to read the bytes of a blob, wherever they are. There are two kinds: the store's own files (`StoredBytes`) and
 * files of the host (`ExternalFiles`). `BlobSpace` picks the kind by the blob's number.
 */
import type { BlobId } from '../base/index.ts';

export interface BlobBytes {
  /**
   * Whether the bytes are in files of the store: they take space there, only the store changes them, and they can be
   * mapped. Bytes that are not stored are copied before they are mapped.
   */
  readonly isStored: boolean;

  /**
   * Copies `length` bytes at byte `position` to `target[offset..]`; bytes after the end in the last block are zeros.
   * EIO, or ESTALE where the bytes are no longer what they were.
   */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void;

  /** As `read`, but returns false, with `target` in any state, where it would have to wait for the disk. */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean;

  /** Brings bytes to where `tryRead` finds them, in the background. Failures are left to the read that follows. */
  fetch(id: BlobId, position: number, length: number): Promise<void>;

  /** What happened to a blob that is not stored, as a sentence; undefined while it is unchanged. */
  problem(id: BlobId): string | undefined;

  /** A descriptor of the file that has the bytes, at the same positions; valid until the next call for another blob. */
  descriptor(id: BlobId): number;

  /** lseek(2), SEEK_DATA: the first byte of data at or after `position`; undefined where there is none. */
  seekData(id: BlobId, position: number): number | undefined;

  /** lseek(2), SEEK_HOLE: the first hole at or after `position`; undefined where there is none before the end. */
  seekHole(id: BlobId, position: number): number | undefined;
}
