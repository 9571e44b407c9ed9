/** Open files and the flags they were opened with. */
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
