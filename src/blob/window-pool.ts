/**
 * Windows: long-lived maps of aligned 16 MiB pieces of blobs, from which reads copy bytes.
 *
 * A window may reach beyond the end of its file, so that it still serves the file after the file has grown. Reads copy
 * only bytes below the file's size, because access to a page beyond it raises SIGBUS.
 *
 * Windows are slots of arenas. An arena has 16 slots and one ArrayBuffer, which lives as long as the arena and never
 * leaves this room. To serve another piece, a slot is mapped again at the same addresses. Otherwise every window would
 * need a new buffer, which counts as 16 MiB of external memory. V8 collects garbage after every 64 MiB of that, which
 * would cost 450 µs for each window; to map a window costs 10 µs.
 */
import { type Address, assert, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobFile, Window } from './blob-file.ts';

export const WINDOW_BYTES = 16 * 1024 * 1024;
const ARENA_WINDOWS = 16;
const ARENA_BYTES = WINDOW_BYTES * ARENA_WINDOWS;

/**
 * When all windows are in use, a piece must be read this many times before it gets the window of another piece. So the
 * 10 to 60 µs of a new map pay off over many reads of 1 µs, even if reads use more pieces than there are windows.
 */
const READS_BEFORE_EVICTION = 32;

/** Address space for one window. */
interface Slot {
  readonly address: Address;
  readonly bytes: Buffer;
}

export class WindowPool {
  private readonly system: System;
  private readonly countMax: number;
  private readonly arenas: Address[] = [];
  private readonly windows: Window[] = [];
  private readonly freeSlots: Slot[] = [];
  /** Number of uses so far; each window keeps the number of its last use. */
  private tick = 0;

  constructor(system: System, countMax: number) {
    assert(countMax > 0, 'at least one window is allowed');
    this.system = system;
    this.countMax = countMax;
  }

  get count(): number {
    return this.windows.length;
  }

  touch(window: Window): void {
    window.lastUse = ++this.tick;
  }

  /**
   * The window over piece `index` of `file`, mapped through `fd` if there is none yet. Undefined if the caller should
   * read by pread: the piece was not read often enough, or the process cannot make another map.
   */
  open(file: BlobFile, index: number, fd: number): Window | undefined {
    const known = file.windows[index];
    if (known !== undefined) {
      this.touch(known);
      return known;
    }
    if (this.windows.length >= this.countMax) {
      const reads = (file.readsWithoutWindow.get(index) ?? 0) + 1;
      file.readsWithoutWindow.set(index, reads);
      if (reads < READS_BEFORE_EVICTION) return undefined;
    }
    const slot = this.mapSlot(fd, index * WINDOW_BYTES);
    if (slot === undefined) return undefined;
    const { address, bytes } = slot;
    const window: Window = { file, index, address, bytes, lastUse: ++this.tick };
    this.windows.push(window);
    file.windows[index] = window;
    file.readsWithoutWindow.delete(index);
    return window;
  }

  /**
   * Unmaps all windows of a blob, because the host frees the space of an unlinked file only when no map of it is left.
   */
  dropAll(file: BlobFile): void {
    for (let at = this.windows.length - 1; at >= 0; at--) {
      const window = this.windows[at]!;
      if (window.file !== file) continue;
      this.giveBack(this.removeAt(at));
    }
  }

  close(): void {
    while (this.windows.length > 0) this.removeAt(this.windows.length - 1);
    this.freeSlots.length = 0;
    for (const arena of this.arenas.splice(0)) this.system.unmap(arena, ARENA_BYTES);
  }

  /** Maps 16 MiB of a file into a free slot, or into the least recently used one. */
  private mapSlot(fd: number, position: number): Slot | undefined {
    try {
      const slot = this.takeSlot();
      try {
        // The map is private. Since nobody writes to it, reads still get the page cache's own pages.
        this.system.mapView(slot.address, fd, position, WINDOW_BYTES);
      } catch (error) {
        // A failed MAP_FIXED may leave a gap in the address space, which another map could take.
        this.giveBack(slot);
        throw error;
      }
      return slot;
    } catch (error) {
      // ENOMEM: vm.max_map_count is reached. ENODEV, EACCES: the host cannot map this file.
      if (isFsError(error)) return undefined;
      throw error;
    }
  }

  private takeSlot(): Slot {
    if (this.windows.length >= this.countMax) return this.removeAt(this.oldest());
    if (this.freeSlots.length === 0) this.makeArena();
    return this.freeSlots.pop()!;
  }

  private giveBack(slot: Slot): void {
    this.system.mapZeros(slot.address, WINDOW_BYTES);
    this.freeSlots.push(slot);
  }

  private makeArena(): void {
    const address = this.system.reserve(ARENA_BYTES);
    this.arenas.push(address);
    const buffer = this.system.bufferAt(address, ARENA_BYTES);
    for (let offset = 0; offset < ARENA_BYTES; offset += WINDOW_BYTES) {
      // The cast: an address inside the arena.
      const at = (address + offset) as Address;
      this.freeSlots.push({ address: at, bytes: Buffer.from(buffer, offset, WINDOW_BYTES) });
    }
  }

  private oldest(): number {
    let oldest = 0;
    for (let at = 1; at < this.windows.length; at++) {
      if (this.windows[at]!.lastUse < this.windows[oldest]!.lastUse) oldest = at;
    }
    return oldest;
  }

  private removeAt(at: number): Slot {
    const window = this.windows[at]!;
    const last = this.windows.pop()!;
    if (last !== window) this.windows[at] = last;
    window.file.windows[window.index] = undefined;
    return { address: window.address, bytes: window.bytes };
  }
}
