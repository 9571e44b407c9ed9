/**
 * How to read the bytes of a blob, wherever they are. There are two kinds: the store's own files (`StoredBytes`) and
 * files of the host (`ExternalFiles`). `BlobSpace` picks the kind by the blob's number.
 */
import type { BlobId } from '../base/index.ts';

export interface BlobBytes {
  /**
   * True if the bytes are in the store's own files. Such bytes take space of the store, only the store changes them,
   * and they can be mapped. Other bytes must be copied into the store before they are mapped.
   */
  readonly isStored: boolean;

  /**
   * Copies `length` bytes at byte `position` to `target[offset..]`; bytes after the end in the last block are zeros.
   * EIO; ESTALE if somebody else has changed the file.
   */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void;

  /** Like `read`, but returns false if it would have to wait for the disk; `target` may then hold any bytes. */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean;

  /** Reads bytes into the page cache in the background, for `tryRead`. Only the read that follows reports failures. */
  fetch(id: BlobId, position: number, length: number): Promise<void>;

  /** A sentence that says what happened to a blob outside the store; undefined while the blob is unchanged. */
  problem(id: BlobId): string | undefined;

  /** A descriptor of the file that has the bytes at the same positions; valid until the next call for another blob. */
  descriptor(id: BlobId): number;

  /** lseek(2), SEEK_DATA: the first byte of data at or after `position`; undefined if there is none. */
  seekData(id: BlobId, position: number): number | undefined;

  /** lseek(2), SEEK_HOLE: the first hole at or after `position`; undefined if there is none before the end. */
  seekHole(id: BlobId, position: number): number | undefined;
}
