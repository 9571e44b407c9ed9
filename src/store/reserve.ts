/**
 * Space kept back for the operations that give space back, as ZFS keeps slop space: a store that has filled its disk
 * can still be opened, and its trees removed and collected. It is a file that nothing is ever written to; giving some
 * of it up lets the disk have that much again.
 */
import { isFsError } from '../base/index.ts';
import { O_CREAT, O_RDWR, type System } from '../sys/index.ts';

const RESERVE_BYTES = 4 * 1024 * 1024;
/** Given up at a time, so that the rest is still there for the next operation. */
const STEP_BYTES = 1024 * 1024;

export function isDiskFull(error: unknown): boolean {
  return isFsError(error, 'ENOSPC') || isFsError(error, 'EDQUOT');
}

export class Reserve {
  private readonly system: System;
  private readonly path: string;

  constructor(system: System, path: string) {
    this.system = system;
    this.path = path;
  }

  /** Runs `work`, and runs it again, with some of the reserve given up, while it fails for want of space. */
  during<T>(work: () => T): T {
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isDiskFull(error) || !this.giveUp()) throw error;
      }
    }
  }

  /** Takes as much of the reserve as the disk has room for. */
  keep(): void {
    this.withFile((fd, have) => {
      for (let end = RESERVE_BYTES; end > have; end -= STEP_BYTES) {
        try {
          this.system.allocate(fd, 0, end);
          return;
        } catch (error) {
          if (!isFsError(error)) throw error;
        }
      }
    });
  }

  private giveUp(): boolean {
    return this.withFile((fd, have) => {
      if (have > 0) this.system.truncate(fd, Math.max(0, have - STEP_BYTES));
      return have > 0;
    });
  }

  /** False where there can be no such file: the reserve is a convenience, and its own failures are nobody's. */
  private withFile(use: (fd: number, sizeBytes: number) => unknown): boolean {
    const { system } = this;
    try {
      const fd = system.open(this.path, O_RDWR | O_CREAT, 0o600);
      try {
        return use(fd, system.fileSize(fd).sizeBytes) === true;
      } finally {
        system.close(fd);
      }
    } catch (error) {
      if (isFsError(error)) return false;
      throw error;
    }
  }
}
