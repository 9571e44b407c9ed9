/**
 * Windows: long-lived read-only maps of aligned 16 MiB pieces of blobs, from which bytes are copied.
 *
 * A window may reach beyond the end of its file, and then serves the file as it grows; a copy touches only bytes
 * below the file's size, because a page beyond it would be SIGBUS. The ArrayBuffer of a window never leaves this
 * room, so a window can be unmapped as soon as it is dropped here.
 */
import { type Address, assert, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobFile, Window } from './blob-file.ts';

export const WINDOW_BYTES = 16 * 1024 * 1024;

export class WindowPool {
  private readonly system: System;
  private readonly countMax: number;
  private readonly windows: Window[] = [];
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
   * The window over `index` of `file`, made if need be through `fd`. Undefined when the process has no room for
   * another map: the caller reads by pread then.
   */
  open(file: BlobFile, index: number, fd: number): Window | undefined {
    const known = file.windows[index];
    if (known !== undefined) {
      this.touch(known);
      return known;
    }
    if (this.windows.length >= this.countMax) this.evictOldest();
    let address: Address;
    try {
      address = this.system.mapWindow(fd, index * WINDOW_BYTES, WINDOW_BYTES);
    } catch (error) {
      // ENOMEM: vm.max_map_count is reached. ENODEV, EACCES: the host cannot map this file.
      if (isFsError(error)) return undefined;
      throw error;
    }
    const bytes = Buffer.from(this.system.bufferAt(address, WINDOW_BYTES));
    const window: Window = { file, index, address, bytes, lastUse: ++this.tick };
    this.windows.push(window);
    file.windows[index] = window;
    return window;
  }

  /** Unmaps every window of a blob. */
  dropAll(file: BlobFile): void {
    for (let at = this.windows.length - 1; at >= 0; at--) {
      if (this.windows[at]!.file === file) this.dropAt(at);
    }
  }

  close(): void {
    while (this.windows.length > 0) this.dropAt(this.windows.length - 1);
  }

  private evictOldest(): void {
    let oldest = 0;
    for (let at = 1; at < this.windows.length; at++) {
      if (this.windows[at]!.lastUse < this.windows[oldest]!.lastUse) oldest = at;
    }
    this.dropAt(oldest);
  }

  private dropAt(at: number): void {
    const window = this.windows[at]!;
    const last = this.windows.pop()!;
    if (last !== window) this.windows[at] = last;
    window.file.windows[window.index] = undefined;
    this.system.unmap(window.address, WINDOW_BYTES);
  }
}
