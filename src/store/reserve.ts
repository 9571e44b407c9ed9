/**
 * Space reserved for the operations that free space, like the slop space of ZFS: a store that has filled its disk can
 * still be opened, and its trees removed and collected. The reserve is a file that is never written to; shortening it
 * frees space on the disk.
 */
import { isDiskFull, isFsError } from '../base/index.ts';
import { O_CREAT, O_NOFOLLOW, O_RDWR, type System } from '../sys/index.ts';

const RESERVE_BYTES = 4 * 1024 * 1024;
/** How much is given up at a time, so that the rest is left for later operations. */
const STEP_BYTES = 1024 * 1024;

export class Reserve {
  private readonly system: System;
  private readonly path: string | undefined;

  /** Without a path there is no reserve. */
  constructor(system: System, path: string | undefined) {
    this.system = system;
    this.path = path;
  }

  /** Runs `work`. While it fails because the disk is full, gives up some of the reserve and runs it again. */
  during<T>(work: () => T): T {
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isDiskFull(error) || !this.giveUp()) throw error;
      }
    }
  }

  /** Allocates as much of the reserve as the disk has room for. */
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

  /**
   * Calls `use` with the open file. True only if `use` returns true; false also if a call to the host fails, because
   * nothing depends on the reserve.
   */
  private withFile(use: (fd: number, sizeBytes: number) => unknown): boolean {
    const { system, path } = this;
    if (path === undefined) return false;
    try {
      const fd = system.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
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
