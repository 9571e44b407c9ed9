/**
 * The lock that says a layer is being built by a living process. It is the layer's journal file, so one rule
 * tells gc of every layer whether somebody owns it: whether its journal file is locked.
 */
import { FsError, isFsError } from '../base/index.ts';
import { O_CREAT, O_RDWR, type System } from '../sys/index.ts';
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

  /** Creates and locks the file. EBUSY when another holds it. */
  static take(system: System, path: string): LayerLock {
    for (;;) {
      const lock = LayerLock.lockFile(system, path, O_RDWR | O_CREAT);
      if (lock !== undefined) return lock;
    }
  }

  /** As `take`, for a file that is there already; undefined when it is not. */
  static takeExisting(system: System, path: string): LayerLock | undefined {
    try {
      return LayerLock.lockFile(system, path, O_RDWR);
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** Whether somebody holds the lock of a file. */
  static isHeld(system: System, path: string): boolean {
    try {
      LayerLock.takeExisting(system, path)?.abandon();
      return false;
    } catch (error) {
      if (isFsError(error, 'EBUSY')) return true;
      throw error;
    }
  }

  /** Undefined when gc removed the file before it was locked: what is locked then is no name's file. */
  private static lockFile(system: System, path: string, flags: number): LayerLock | undefined {
    const fd = system.open(path, flags, 0o600);
    let isOurs = false;
    try {
      if (!system.tryLock(fd)) throw new FsError('EBUSY', { syscall: 'flock', path });
      isOurs = pathExists(system, path);
    } finally {
      if (!isOurs) system.close(fd);
    }
    return isOurs ? new LayerLock(system, path, fd) : undefined;
  }

  /** Removes the file and gives the lock up. */
  release(): void {
    if (this.fd === undefined) return;
    const { fd } = this;
    this.fd = undefined;
    this.system.unlink(this.path);
    this.system.close(fd);
  }

  /** Gives the lock up and leaves the file. */
  abandon(): void {
    if (this.fd === undefined) return;
    this.system.close(this.fd);
    this.fd = undefined;
  }
}
