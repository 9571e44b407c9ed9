/** Open files and the flags they were opened with. */
import { FsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY } from '../sys/index.ts';

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

  /** EBADF when it was closed. */
  requireOpen(): Inode {
    if (!this.isOpen) throw new FsError('EBADF');
    return this.inode;
  }

  /** EBADF unless it is open for reading. */
  requireReadable(): Inode {
    if (!this.isOpen || (this.flags & O_ACCMODE) === O_WRONLY) throw new FsError('EBADF');
    return this.inode;
  }

  /** EBADF unless it is open for writing. */
  requireWritable(): Inode {
    if (!this.isOpen || !this.canWrite) throw new FsError('EBADF');
    return this.inode;
  }

  get canWrite(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY;
  }

  get isAppending(): boolean {
    return (this.flags & O_APPEND) !== 0;
  }
}
