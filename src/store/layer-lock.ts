/**
 * The lock that says a layer is being built by a living process. It is the layer's journal file, so one rule tells gc
 * of every layer whether somebody owns it: whether its journal file is locked.
 */
import { FsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';

/** Flags of open(2) on Linux. */
const O_RDWR = 0o2;
const O_CREAT = 0o100;

export class LayerLock {
  private readonly system: System;
  private readonly path: string;
  private fd: number | undefined;

  private constructor(system: System, path: string, fd: number) {
    this.system = system;
    this.path = path;
    this.fd = fd;
  }

  /** Creates and locks the file. EBUSY when another holds it. */
  static take(system: System, path: string): LayerLock {
    const fd = system.open(path, O_RDWR | O_CREAT, 0o644);
    if (!system.tryLock(fd)) {
      system.close(fd);
      throw new FsError('EBUSY', { syscall: 'flock', path });
    }
    return new LayerLock(system, path, fd);
  }

  /** Removes the file and gives the lock up. */
  release(): void {
    if (this.fd === undefined) return;
    const { fd } = this;
    this.fd = undefined;
    this.system.unlink(this.path);
    this.system.close(fd);
  }
}
