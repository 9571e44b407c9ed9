/** Open files and the flags they were opened with. */
import type { Inode } from '../layer/index.ts';

/** Flags of open(2) on Linux (x86-64 and arm64 differ only in the last three; these are asm-generic's). */
export const O_ACCMODE = 0o3;
export const O_RDONLY = 0;
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_DSYNC = 0o10000;
export const O_NOFOLLOW = 0o400000;
export const O_NOATIME = 0o1000000;
export const O_DIRECTORY = 0o200000;
/** Without the O_DIRECTORY that comes with it. */
export const O_TMPFILE = 0o20000000;

/**
 * An open file description: it belongs to the fork's inode, never to a layer's file, so it sees every later write
 * and stays usable when its last name is gone.
 */
export class OpenFile {
  readonly inode: Inode;
  readonly flags: number;
  /** The path it was opened by, for messages. */
  readonly path: string;
  /** Where the next read or write without a position goes, in bytes. */
  position = 0;
  isOpen = true;

  constructor(inode: Inode, flags: number, path: string) {
    this.inode = inode;
    this.flags = flags;
    this.path = path;
  }

  get canRead(): boolean {
    return (this.flags & O_ACCMODE) !== O_WRONLY;
  }

  get canWrite(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY;
  }

  get isAppending(): boolean {
    return (this.flags & O_APPEND) !== 0;
  }

  get isDirectory(): boolean {
    return this.inode.isDirectory;
  }
}
