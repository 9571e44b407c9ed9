/** The descriptors of one NodeFs: numbers that stand for its open files. */

import type { TreeFile } from '../vfs/index.ts';
import { checkDescriptor } from './arguments.ts';
import { systemFailure } from './errors.ts';

/**
 * The first descriptor. It is far above the kernel's descriptors, so that one of ours fails with EBADF in node:fs, and
 * one of the kernel's fails here, instead of naming another file.
 */
export const FIRST_DESCRIPTOR = 1_000_000;

/** Throws EBADF. */
export function notOpen(syscall: string): never {
  throw systemFailure('EBADF', syscall);
}

export class Descriptors {
  private readonly files: (TreeFile | undefined)[] = [];
  private readonly free: number[] = [];

  add(file: TreeFile): number {
    const index = this.free.pop() ?? this.files.length;
    this.files[index] = file;
    return FIRST_DESCRIPTOR + index;
  }

  /** The open file of a descriptor; undefined if there is none. Throws if `fd` cannot be a descriptor at all. */
  find(fd: unknown): TreeFile | undefined {
    if (typeof fd === 'number') {
      const file = this.files[fd - FIRST_DESCRIPTOR];
      if (file !== undefined) return file;
    }
    checkDescriptor(fd);
    return undefined;
  }

  /** Like `find`, but throws EBADF, with `syscall`, if there is no open file. */
  get(fd: unknown, syscall: string): TreeFile {
    return this.find(fd) ?? notOpen(syscall);
  }

  /** Like `get`, but also removes the file from the table, so that its descriptor can be given out again. */
  take(fd: unknown, syscall: string): TreeFile {
    const file = this.get(fd, syscall);
    // The cast: `get` has thrown unless fd is the number of an open file.
    const index = (fd as number) - FIRST_DESCRIPTOR;
    this.files[index] = undefined;
    this.free.push(index);
    return file;
  }

  /** Removes all open files from the table and returns them. */
  takeAll(): TreeFile[] {
    const files = this.files.filter((file) => file !== undefined);
    this.files.length = 0;
    this.free.length = 0;
    return files;
  }
}
