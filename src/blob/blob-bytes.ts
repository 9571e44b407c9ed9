/**
 * Where the bytes of a blob are, and how to read them. There are two kinds: the store's own files (`StoredBytes`) and
 * files of the host (`ExternalFiles`). `BlobSpace` picks the kind by the blob's number; nobody else need know it.
 */
import type { BlobId } from '../base/index.ts';

export interface BlobBytes {
  /**
   * The bytes are in files of the store: they take space there, nothing but the store changes them, and a memory map
   * can show them. What is not stored is copied before it is mapped.
   */
  readonly isStored: boolean;

  /**
   * Copies `length` bytes at byte `position` to `target[offset..]`; bytes of the last block behind the end are zeros.
   * EIO, or ESTALE where the bytes are no longer what they were.
   */
  read(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): void;

  /** As `read`, but false, with `target` in any state, when a byte would have to be waited for. */
  tryRead(id: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean;

  /** Brings bytes to where `tryRead` finds them, in the background. The read that follows reports what fails. */
  fetch(id: BlobId, position: number, length: number): Promise<void>;

  /** What has become of a blob that is not stored, as a sentence; undefined while it is what it was. */
  problem(id: BlobId): string | undefined;

  /** A descriptor of the file that has the bytes, at the same positions; good until the next call for another blob. */
  descriptor(id: BlobId): number;

  /** The first byte of data at or after `position`, as lseek(2) has it; undefined where there is none. */
  seekData(id: BlobId, position: number): number | undefined;

  /** The first hole at or after `position`; undefined where there is none before the end. */
  seekHole(id: BlobId, position: number): number | undefined;
}
