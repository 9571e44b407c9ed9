/**
 * A memory map of a file: a run of address space stitched from pieces of blobs, so that its pages are the very
 * page-cache pages of the blobs. Rules (docs/memory-maps.md):
 *
 * - The pieces are MAP_PRIVATE and writable, so a stray write to the memory makes a private copy of the page, which
 *   only this view sees.
 * - The address range stays mapped while any ArrayBuffer over it lives. `close` overlays zeros; munmap happens when
 *   the last buffer has been collected.
 * - Beyond the end of the file a view shows zeros; it never grows past its reserved length.
 */
import { type Address, assert, BLOCK_SIZE, FsError } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import type { ExtentMap } from '../extent/index.ts';
import type { System } from '../sys/index.ts';
import type { MapBudget } from './budget.ts';

/** Maximum bytes of one ArrayBuffer, below 4 GiB: Node 20 aborts the process over a larger one. */
const BUFFER_BYTES_MAX = 4 * 1024 ** 3 - BLOCK_SIZE;

/**
 * The mapped range itself. It holds no reference to the ArrayBuffers over it, so that they can be collected while the
 * mapping of the inode still re-maps the range.
 */
export class MappedRange {
  readonly address: Address;
  readonly reservedBytes: number;
  private readonly system: System;
  private readonly budget: MapBudget;
  /** Maximum number of kernel mappings that the range is made of. */
  pieceCount = 0;
  isClosed = false;
  /** How many ArrayBuffers over the range have not been collected. */
  liveBuffers = 0;

  constructor(system: System, budget: MapBudget, lengthBytes: number) {
    assert(lengthBytes > 0 && lengthBytes % BLOCK_SIZE === 0, 'a mapped range is whole blocks');
    this.system = system;
    this.budget = budget;
    this.reservedBytes = lengthBytes;
    this.address = system.reserve(lengthBytes);
    this.setPieces(1);
  }

  setPieces(count: number): void {
    this.budget.replace(this.pieceCount, count);
    this.pieceCount = count;
  }

  /** Maps the blocks `[start, end)` as `extents` has them now. */
  stitch(extents: ExtentMap, blobs: BlobSpace, start: number, end: number): void {
    if (this.isClosed) return;
    const last = Math.min(end, this.reservedBytes / BLOCK_SIZE);
    extents.forEachPiece(start, last, (logical, count, blob, physical) => {
      const at = (this.address + logical * BLOCK_SIZE) as Address;
      if (blob === 0) this.system.mapZeros(at, count * BLOCK_SIZE);
      else this.system.mapView(at, blobs.descriptor(blob), physical * BLOCK_SIZE, count * BLOCK_SIZE);
    });
  }

  /** Overlays zeros: the bytes are gone, the addresses stay reserved. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.system.mapZeros(this.address, this.reservedBytes);
    this.setPieces(1);
  }

  /** Gives the addresses back. Called when the last ArrayBuffer over the range has been collected. */
  unmap(): void {
    this.isClosed = true;
    this.system.unmap(this.address, this.reservedBytes);
    this.setPieces(0);
  }
}

interface Collected {
  readonly range: MappedRange;
  readonly onUnmapped: () => void;
}

/** Runs when an ArrayBuffer over a range has been collected; after the last one, gives the addresses back. */
const collected = new FinalizationRegistry<Collected>(({ range, onUnmapped }) => {
  range.liveBuffers--;
  if (range.liveBuffers > 0) return;
  onUnmapped();
  range.unmap();
});

/** A memory map as its user sees it: bytes that follow the file. */
export class View {
  private readonly range: MappedRange;
  private readonly onClose: () => void;
  /** The file's length when it was mapped, or `reserveBytes` if that is more. */
  readonly lengthBytes: number;
  /** Consecutive buffers over the file's bytes, 4 GiB at most each. Empty for an empty file. */
  readonly buffers: readonly ArrayBuffer[];

  /**
   * `onUnmapped` runs on `close` and when the last buffer has been collected. It must not refer to the View or a
   * buffer: otherwise these would never be collected.
   */
  constructor(system: System, range: MappedRange, lengthBytes: number, onUnmapped: () => void) {
    this.range = range;
    this.lengthBytes = lengthBytes;
    this.onClose = onUnmapped;
    const buffers: ArrayBuffer[] = [];
    for (let at = 0; at < lengthBytes; at += BUFFER_BYTES_MAX) {
      const buffer = system.bufferAt(
        (range.address + at) as Address,
        Math.min(BUFFER_BYTES_MAX, lengthBytes - at),
      );
      buffers.push(buffer);
    }
    this.buffers = buffers;
    // The view of an empty file has no buffer.
    for (const holder of buffers.length > 0 ? buffers : [this]) {
      range.liveBuffers++;
      collected.register(holder, { range, onUnmapped });
    }
  }

  /** The file's bytes as one buffer; ERANGE for a file over 4 GiB, which has `buffers`. */
  get buffer(): ArrayBuffer {
    if (this.buffers.length > 1) {
      throw new FsError('ERANGE', { syscall: 'map', note: 'the file is over 4 GiB: use view.buffers' });
    }
    return this.buffers[0] ?? EMPTY;
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.buffer);
  }

  /** Address of the first byte, for looking at page frames. */
  get address(): Address {
    return this.range.address;
  }

  /** Maximum number of kernel mappings that the view is made of. */
  get pieceCount(): number {
    return this.range.pieceCount;
  }

  get isClosed(): boolean {
    return this.range.isClosed;
  }

  /** The bytes become zeros; the addresses go back when the last buffer has been collected. May be called twice. */
  close(): void {
    if (this.range.isClosed) return;
    this.onClose();
    this.range.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const EMPTY = new ArrayBuffer(0);
