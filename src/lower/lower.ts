/**
 * The interface of lower layers. Most are rows of the tables (`FrozenLayer`). A derived layer (`DerivedLower`) computes
 * its answers from something else, and gives out inode numbers of its own.
 */
import type { Ino, LayerId, Name, Run } from '../base/index.ts';
import type { ExternalState } from '../blob/index.ts';
import type { DentryRecord, InodeRecord, NamedDentry } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';

export interface Lower {
  readonly id: LayerId;
  /** True when no layer is below this one. */
  readonly isBase: boolean;
  /** True when answers may change while the layer is in use: ask again before you rely on an earlier answer. */
  readonly isLive: boolean;
  /** False when the layer certainly has nothing of this inode, neither a record nor, for a directory, names. */
  mayHave(ino: Ino): boolean;
  /** The layer's record of an inode; a tombstone has mode 0. */
  inode(ino: Ino): InodeRecord | undefined;
  /** All inodes that the layer has a record of, tombstones too; absent if they cannot be listed. */
  inos?(): Iterable<Ino>;
  /** The layer's entry for a name; a whiteout has inode 0. */
  dentry(directory: Ino, name: Name): DentryRecord | undefined;
  /** All names of a directory, whiteouts too. */
  list(directory: Ino): NamedDentry[];
  /** Like `list`, without the entries. */
  names(directory: Ino): Name[];
  /** All runs, in order, of a file of `sizeBytes` whose `extentLayer` is this one. */
  runs(ino: Ino, sizeBytes: number): readonly Run[];
  /** The extended attributes of an inode whose `xattrLayer` is this one. */
  xattrs(ino: Ino): Map<string, Buffer> | undefined;
  /** For a layer made of other layers: its inodes whose extents are those of inode `ino` of the given layer. */
  shownAs?(layer: LayerId, ino: Ino): Ino[];
  /** Closes all files of the host. The layer may be used again. */
  close?(): void;
}

/**
 * A layer that gives out inode numbers of its own. In a later process, `learn` must tell it what the numbers stand for.
 */
export interface DerivedLower extends Lower {
  /**
   * The bytes by which `learn` finds the inode again. They are stored once a layer above records anything of the inode.
   * Undefined for unknown inodes.
   */
  origin(ino: Ino): Uint8Array | undefined;
  /** Takes over an `origin` of a number, from this process or another. */
  learn(ino: Ino, origin: Uint8Array): void;
  /** Makes the next call of `inode` ask again, instead of using the result of the last `dentry`. */
  forgetSeen(): void;
  /** The place where the layer last saw the inode; undefined for the layer's root, and if the place is unknown. */
  placeOf(ino: Ino): { readonly directory: Ino; readonly name: Name } | undefined;
  /** The source of the bytes of a file whose `extentLayer` is this layer; undefined if they never change. */
  hostFile(ino: Ino): HostFile | undefined;
}

/** A file of a host tree whose bytes no layer above has copied up. */
export interface HostFile {
  /** Size, space and times of the file that is at this place of the host tree now. ESTALE when there is none. */
  stat(): HostStat;
  /** Forgets the open file: the next read opens whichever file is at this place then. */
  forget(): void;
  /** Opens the file for reading, and returns its current state. The caller closes `fd`. */
  open(): { readonly fd: number; readonly state: ExternalState };
  /** True when a copy-up copies the bytes, instead of referring to the host file. */
  readonly isPinned: boolean;
}
