/** One inode of one open tree, in memory. It is the fork's inode: which layer its record came from does not matter. */
import { type Ino, isDirectoryMode, isFileMode, isSymlinkMode, type Name } from '../base/index.ts';
import type { Entry, NamesBetween } from '../lower/index.ts';
import type { Mapping } from '../mapping/index.ts';
import type { InodeRecord } from '../meta/index.ts';

export class Inode {
  readonly ino: Ino;
  /** Replaced, never changed, by a committed batch; only a lazy atime is written in place. */
  record: InodeRecord;
  /** Regular files: the bytes, once anyone asked for them. */
  mapping: Mapping | undefined;
  xattrs: Map<string, Buffer> | undefined;
  /** Directories: the names looked up so far (`NO_ENTRY` where there is none). */
  children: Map<Name, Entry> | undefined;
  /** Directories: `children` has every name. */
  isComplete = false;
  /** Directories: names changed since the last checkpoint. */
  changedNames: Map<Name, Entry> | undefined;
  /** Directories: counts changes of names; what was made of an older list is not of today's. */
  namesVersion = 0;
  /** Directories: what the layers between the upper one and the base say of its names; kept by the stack. */
  namesBetween: NamesBetween | undefined;
  /** The record, xattrs or names changed since the last checkpoint. */
  isDirty = false;
  areXattrsDirty = false;
  /** The record is that of a derived layer at the base: no layer above has recorded anything of the inode. */
  isUnrecorded = false;
  /** No name is left and nobody has it open: it only waits for the checkpoint to drop its rows. */
  isDead = false;
  openCount = 0;
  /** Open files that run or map it, for ETXTBSY; kept by vfs. */
  writerCount = 0;

  constructor(ino: Ino, record: InodeRecord) {
    this.ino = ino;
    this.record = record;
  }

  get isDirectory(): boolean {
    return isDirectoryMode(this.record.mode);
  }

  get isFile(): boolean {
    return isFileMode(this.record.mode);
  }

  get isSymlink(): boolean {
    return isSymlinkMode(this.record.mode);
  }

  /** Somebody still reaches it without a name. */
  get isInUse(): boolean {
    return this.openCount > 0 || this.mapping?.isMapped === true;
  }

  /** It may leave the cache: everything in it can be read again. */
  get isEvictable(): boolean {
    return !this.isDirty && !this.isInUse;
  }
}
