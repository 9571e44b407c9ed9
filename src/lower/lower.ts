/**
 * A lower layer as a stack sees it: what answers for inodes and names and never learns of the layers above it. Most
 * lowers are rows of the tables (`FrozenLayer`). A derived one computes its answers from elsewhere: it gives out
 * numbers of its own making (`DerivedLower`).
 */
import type { Ino, LayerId, Name, Run } from '../base/index.ts';
import type { ExternalState } from '../blob/index.ts';
import type { DentryRecord, InodeRecord, NamedDentry } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';

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
  /** All inodes that it has a record of, tombstones too; absent where that cannot be listed. */
  inos?(): Iterable<Ino>;
  /** What the layer says of a name; a whiteout has inode 0. */
  dentry(directory: Ino, name: Name): DentryRecord | undefined;
  /** All names of a directory, whiteouts too. */
  list(directory: Ino): NamedDentry[];
  /** As `list`, where what the names stand for is not needed. */
  names(directory: Ino): Name[];
  /** All runs, in order, of a file whose `extentLayer` is this one and whose record says that it has `sizeBytes`. */
  runs(ino: Ino, sizeBytes: number): readonly Run[];
  /** The extended attributes of an inode whose `xattrLayer` is this one. */
  xattrs(ino: Ino): Map<string, Buffer> | undefined;
  /** Of a layer that is made of others: the numbers under which it has the extents that one of them has of an inode. */
  shownAs?(layer: LayerId, ino: Ino): Ino[];
  /** Gives back what the layer holds of the host; it may be used again. */
  close?(): void;
}

/** A layer that gives out numbers of its own making, and so must be told what they stood for. */
export interface DerivedLower extends Lower {
  /** What finds an inode again, to be stored once a layer above records anything of it. Undefined: it is unknown. */
  origin(ino: Ino): Uint8Array | undefined;
  /** Takes in what `origin` said of a number, in this process or another. */
  learn(ino: Ino, origin: Uint8Array): void;
  /** Time has passed: the next `inode` must ask again, and not answer with what the last `dentry` saw. */
  forgetSeen(): void;
  /** Where it has last seen the inode; undefined for its root, and where that is not known. */
  placeOf(ino: Ino): { readonly directory: Ino; readonly name: Name } | undefined;
  /** What stands behind the bytes of a file whose `extentLayer` is this layer; undefined where they never change. */
  hostFile(ino: Ino): HostFile | undefined;
}

/** A file of a host tree whose bytes no layer above has taken over. */
export interface HostFile {
  /** The bytes as they are now: size, space and times of the file at this place. ESTALE when there is none. */
  stat(): HostStat;
  /** What is read next comes from the file that is at this place then. */
  forget(): void;
  /** Opens the file for reading and says what it is at this moment. The caller closes `fd`. */
  open(): { readonly fd: number; readonly state: ExternalState };
  /** A copy-up takes the bytes themselves. */
  readonly isPinned: boolean;
}
