/**
 * Windows: long-lived maps of aligned 16 MiB pieces of blobs, from which reads copy bytes.
 *
 * A window may reach beyond the end of its file, and serves the file as it grows. Only bytes below the file's size are
 * copied, because access to a page beyond it is SIGBUS.
 *
 * Windows are slots of arenas of 16, each with one ArrayBuffer that lives as long as its arena and never leaves this
 * room; a slot that serves another piece is mapped over in place. A buffer for every window would count as 16 MiB of
 * external memory, and V8 collects garbage after every 64 MiB of that: 450 µs for each window, where a map takes 10.
 */
import { type Address, assert, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobFile, Window } from './blob-file.ts';

export const WINDOW_BYTES = 16 * 1024 * 1024;
const ARENA_WINDOWS = 16;
const ARENA_BYTES = WINDOW_BYTES * ARENA_WINDOWS;

/**
 * When all windows are in use, a piece must be read this often before it replaces another. The 10 to 60 µs of a new map
 * are then shared by many reads of 1 µs, even where more pieces are in use than there are windows.
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
  /** Counts uses; a window carries the count at its last use. */
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
   * The window over `index` of `file`, made through `fd` if there is none. Undefined where the caller should read by
   * pread: the piece is not read often enough, or the process cannot make another map.
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

  /** Unmaps all windows of a blob: a map would keep the space of an unlinked file. */
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
        // Private: as with a shared map, reads get the page cache's own page, since nothing is stored into it.
        this.system.mapView(slot.address, fd, position, WINDOW_BYTES);
      } catch (error) {
        // A failed MAP_FIXED may have left a gap, which another map could take.
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
