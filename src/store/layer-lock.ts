/**
 * The lock of a layer that a process is building. The layer's journal file is locked, so that gc has one rule for all
 * layers: a layer has an owner if its journal file is locked.
 */
import { FsError, isFsError } from '../base/index.ts';
import { O_CREAT, O_NOFOLLOW, O_RDWR, type System } from '../sys/index.ts';
import { pathExists } from './layout.ts';

export class LayerLock {
  private readonly system: System;
  private readonly path: string;
  private fd: number | undefined;

  private constructor(system: System, path: string, fd: number) {
    this.system = system;
    this.path = path;
    this.fd = fd;
  }

  /** Creates and locks the file. EBUSY if another process, or another `LayerLock` of this process, has it locked. */
  static take(system: System, path: string): LayerLock {
    for (;;) {
      const lock = LayerLock.lockFile(system, path, O_RDWR | O_CREAT);
      if (lock !== undefined) return lock;
    }
  }

  /** Like `take`, for an existing file; undefined when there is no file. */
  static takeExisting(system: System, path: string): LayerLock | undefined {
    try {
      return LayerLock.lockFile(system, path, O_RDWR);
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** True when the file is locked. */
  static isHeld(system: System, path: string): boolean {
    try {
      LayerLock.takeExisting(system, path)?.abandon();
      return false;
    } catch (error) {
      if (isFsError(error, 'EBUSY')) return true;
      throw error;
    }
  }

  /** Opens and locks the file. Undefined if gc removed the file before it was locked. */
  private static lockFile(system: System, path: string, flags: number): LayerLock | undefined {
    const fd = system.open(path, flags | O_NOFOLLOW, 0o600);
    let isOurs = false;
    try {
      if (!system.tryLock(fd)) throw new FsError('EBUSY', { syscall: 'flock', path });
      isOurs = pathExists(system, path);
    } finally {
      if (!isOurs) system.close(fd);
    }
    return isOurs ? new LayerLock(system, path, fd) : undefined;
  }

  /** Removes the file and releases the lock. */
  release(): void {
    if (this.fd === undefined) return;
    const { fd } = this;
    this.fd = undefined;
    this.system.unlink(this.path);
    this.system.close(fd);
  }

  /** Releases the lock and leaves the file. */
  abandon(): void {
    if (this.fd === undefined) return;
    this.system.close(this.fd);
    this.fd = undefined;
  }
}
