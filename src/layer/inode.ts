/** One inode of an open tree, in memory, whichever layer its record came from. */
import { type Ino, isDirectoryMode, isFileMode, isSymlinkMode, type Name } from '../base/index.ts';
import type { Entry, NamesBetween } from '../lower/index.ts';
import type { Mapping } from '../mapping/index.ts';
import type { InodeRecord } from '../meta/index.ts';

export class Inode {
  readonly ino: Ino;
  /** The inode's attributes. A committed batch replaces this object; only a lazy atime is written into it in place. */
  record: InodeRecord;
  /** Regular files: the bytes, once something has asked for them. */
  mapping: Mapping | undefined;
  xattrs: Map<string, Buffer> | undefined;
  /** Directories: the name by which a lookup last found the directory. */
  name: Name | undefined;
  /** Directories: the names looked up so far (`NO_ENTRY` where there is none). */
  children: Map<Name, Entry> | undefined;
  /** Directories: `children` has every name. */
  isComplete = false;
  /** Directories: names changed since the last checkpoint. */
  changedNames: Map<Name, Entry> | undefined;
  /** Directories: counts changes of names, so that the holder of a list of names can tell that the list is outdated. */
  namesVersion = 0;
  /** Directories: the names in the layers between the upper layer and the base, which the stack caches here. */
  namesBetween: NamesBetween | undefined;
  /** The record, xattrs or names changed since the last checkpoint. */
  isDirty = false;
  areXattrsDirty = false;
  /** The record comes from the derived layer at the base: no layer above has recorded the inode. */
  isUnrecorded = false;
  /** The inode has no name and is not open: it waits for the checkpoint to remove its rows. */
  isDead = false;
  openCount = 0;

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

  /** True when programs can still reach the inode without a name. */
  get isInUse(): boolean {
    return this.openCount > 0 || this.mapping?.isMapped === true;
  }

  /** True when the inode may leave memory, because everything in it can be read again. */
  get isEvictable(): boolean {
    return !this.isDirty && !this.isInUse;
  }
}
