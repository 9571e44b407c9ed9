/**
 * A lower layer as a stack sees it: something that answers for inodes and names and never learns of the layers above it.
 * Most lowers are rows of the tables (`FrozenLayer`). A derived one computes its answers from elsewhere: it gives out
 * numbers of its own making, and says by `origin` how it would find an inode again that it no longer has in memory.
 */
import type { Ino, LayerId, Name } from '../base/index.ts';
import type { DentryRecord, InodeRecord, NamedDentry, Run } from '../meta/index.ts';

export interface Lower {
  readonly id: LayerId;
  /** Nothing is below it. */
  readonly isBase: boolean;
  /** Its answers may change while it is in use: nothing that it said may be relied on without asking again. */
  readonly isLive: boolean;
  /** False when the layer certainly has nothing of this inode, neither a record nor names in it. */
  mayHave(ino: Ino): boolean;
  /** The layer's record of an inode; a tombstone has mode 0. */
  inode(ino: Ino): InodeRecord | undefined;
  /** What the layer says of a name; a whiteout has inode 0. */
  dentry(directory: Ino, name: Name): DentryRecord | undefined;
  /** All names of a directory, whiteouts too. */
  list(directory: Ino): NamedDentry[];
  /** As `list`, where what the names stand for is not needed. */
  names(directory: Ino): Name[];
  /** All runs, in order, of a file whose `extentLayer` is this one. `sizeBytes` is the file's size as its record says. */
  runs(ino: Ino, sizeBytes: number): readonly Run[];
  /** The extended attributes of an inode whose `xattrLayer` is this one. */
  xattrs(ino: Ino): Map<string, Buffer> | undefined;
  /** A derived layer: what finds an inode of its own again, to be stored once a layer above records anything of it. */
  origin?(ino: Ino): Uint8Array | undefined;
}
