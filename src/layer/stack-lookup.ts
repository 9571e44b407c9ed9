/** Finds inodes by number and names in directories: asks the upper layer first, then each lower one. */
import { FsError, type Ino, isFsError, type Name } from '../base/index.ts';
import {
  type Entry,
  entryIno,
  entryOfRow,
  isDerived,
  mergeNames,
  NO_ENTRY,
  UNREAD_ENTRY,
} from '../lower/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { Inode } from './inode.ts';
import { refresh } from './live-inodes.ts';
import { StackState } from './stack-state.ts';

/** Once a directory remembers this many names, it remembers no further names that do not exist. */
const CACHED_NAMES_MAX = 65_536;

export class StackLookup extends StackState {
  // Inodes.

  get root(): Inode {
    return this.inode(this.rootIno);
  }

  /**
   * The inode of a number. ESTALE when no layer has it. Set `isLookedUp` if a lookup has just returned the number: a
   * live layer then reuses the stat(2) of that lookup.
   */
  inode(ino: Ino, isLookedUp = false): Inode {
    if (!isLookedUp) this.chain.live?.forgetSeen();
    const known = this.chain.live === undefined ? undefined : this.inodes.get(ino);
    if (known !== undefined) this.refreshNow(known);
    return this.living(ino);
  }

  /** Like `inode`, for callers that refresh the inode themselves. */
  inodeAsKnown(ino: Ino): Inode {
    this.chain.live?.forgetSeen();
    return this.living(ino);
  }

  private living(ino: Ino): Inode {
    const inode = this.inodes.get(ino) ?? this.readInode(ino);
    if (inode === undefined || inode.isDead) throw new FsError('ESTALE', { note: `no inode ${ino}` });
    return inode;
  }

  /**
   * Call this before using an inode that was found some time ago, since a live layer may have changed it. ESTALE when
   * that layer no longer has it.
   */
  refresh(inode: Inode): void {
    this.chain.live?.forgetSeen();
    this.refreshNow(inode);
  }

  private refreshNow(inode: Inode, { live } = this.chain): void {
    if (live !== undefined && isDerived(inode.ino) && !inode.isDead && !this.isReplaying)
      refresh(live, inode);
  }

  private readInode(ino: Ino): Inode | undefined {
    const recorded = this.readRecorded(ino);
    const record = recorded ?? this.chain.derived?.inode(ino);
    if (record === undefined || record.mode === 0) return undefined;
    const inode = new Inode(ino, record);
    inode.isUnrecorded = recorded === undefined;
    if (recorded !== undefined) this.refreshNow(inode);
    this.inodes.set(ino, inode);
    return inode;
  }

  /** The inode's record in the tables; a tombstone has mode 0. */
  private readRecorded(ino: Ino): InodeRecord | undefined {
    const { upper } = this;
    if (upper?.stored.has(ino)) {
      const record = this.tables.inodes.get(upper.id, ino);
      if (record !== undefined) return record;
    }
    return this.chain.recorded(ino);
  }

  /** Whether a lower layer has this inode, and not as a tombstone. */
  existsBelow(ino: Ino): boolean {
    // Every derived number counts, even if its file is gone, since a live layer may have the file again later.
    if (isDerived(ino)) return this.chain.derived !== undefined;
    if (this.isOwnNumber(ino)) return false;
    return this.chain.record(ino) !== undefined;
  }

  // Names.

  /**
   * The inode of an entry that `lookup` found. A directory has one name, in the directory that its record calls its
   * parent. Any other name is EIO, since it could lead round in circles. Directories of a derived layer are not
   * checked, since the host or the union decides where they are.
   */
  child(directory: Inode, name: Name, entry: Entry): Inode {
    const inode = this.inode(entryIno(entry), true);
    // This runs for every step of a path, so it does not check a directory again under the name that was checked
    // before.
    if (!inode.isDirectory || (inode.record.parent === directory.ino && inode.name === name)) return inode;
    return this.checkedDirectory(directory, name, inode);
  }

  private checkedDirectory(directory: Inode, name: Name, inode: Inode): Inode {
    if (isDerived(inode.ino) || this.isReplaying) return inode;
    const { parent } = inode.record;
    const isTwice =
      inode.name !== undefined && this.lookup(directory, inode.name) === this.lookup(directory, name);
    if (parent !== directory.ino || inode.ino === this.rootIno || isTwice) {
      const note =
        `directory ${inode.ino} of layer ${this.topLayer} is damaged: ` +
        `it is in directory ${directory.ino} as well as in ${parent}; run fsck`;
      throw new FsError('EIO', { note });
    }
    inode.name = name;
    return inode;
  }

  private get topLayer(): number {
    return this.upper?.id ?? this.lowers[0]?.id ?? 0;
  }

  /** The entry of `name` in `directory`; `NO_ENTRY` when there is no such name. */
  lookup(directory: Inode, name: Name): Entry {
    const known = directory.children?.get(name);
    if (known !== undefined && known !== UNREAD_ENTRY) return known;
    if (known === undefined && directory.isComplete) return NO_ENTRY;
    const entry = this.readName(directory, name);
    // The names of a live layer are not remembered, since the host may change them at any time.
    if (this.chain.isLive(directory.ino)) return entry;
    directory.children ??= new Map();
    if (entry !== NO_ENTRY || directory.children.size < CACHED_NAMES_MAX) {
      directory.children.set(name, entry);
      this.nameCount++;
    }
    return entry;
  }

  /** The entry that the layers above a live layer have for a name; undefined when they have none. */
  recordedName(directory: Inode, name: Name): Entry | undefined {
    const known = directory.children?.get(name);
    if (known !== undefined && known !== UNREAD_ENTRY) return known;
    return this.storedName(directory, name) ?? this.chain.recordedName(directory.ino, name);
  }

  private readName(directory: Inode, name: Name): Entry {
    return this.storedName(directory, name) ?? this.chain.name(directory, name);
  }

  /** The entry that the rows of the upper layer have for a name; undefined when they have none. */
  private storedName(directory: Inode, name: Name): Entry | undefined {
    const { upper } = this;
    if (upper?.stored.has(directory.ino) !== true) return undefined;
    const dentry = this.tables.dentries.get(upper.id, directory.ino, name);
    return dentry && entryOfRow(dentry);
  }

  /**
   * All names of a directory, merged from every layer. `UNREAD_ENTRY` stands for an entry that was not read;
   * `needsEntries` avoids these where that is possible.
   */
  list(directory: Inode, needsEntries = false): ReadonlyMap<Name, Entry> {
    if (directory.isComplete && directory.children !== undefined) return directory.children;
    const merged = new Map<Name, Entry>();
    for (let index = this.lowers.length - 1; index >= 0; index--) {
      const layer = this.lowers[index]!;
      if (!layer.mayHave(directory.ino)) continue;
      // A base layer has no whiteouts, so the keys alone give its names, four times as fast.
      if (layer.isBase && (!needsEntries || layer.isLive)) {
        for (const name of layer.names(directory.ino)) merged.set(name, UNREAD_ENTRY);
      } else mergeNames(merged, layer.list(directory.ino));
    }
    if (this.upper?.stored.has(directory.ino))
      mergeNames(merged, this.tables.dentries.list(this.upper.id, directory.ino));
    for (const [name, entry] of directory.children ?? []) {
      // Entries in memory are newer than the tables.
      if (entry === NO_ENTRY) merged.delete(name);
      else if (entry !== UNREAD_ENTRY) merged.set(name, entry);
    }
    if (this.chain.isLive(directory.ino)) return merged;
    this.nameCount += merged.size - (directory.children?.size ?? 0);
    directory.children = merged;
    directory.isComplete = true;
    return merged;
  }

  /** Whether listing a directory would read more than `count` names from the tables, in one layer. */
  listsMoreThan({ ino, isComplete }: Inode, count: number): boolean {
    if (isComplete) return false;
    const { upper, lowers } = this;
    const { dentries } = this.tables;
    if (upper?.stored.has(ino) && dentries.hasMoreThan(upper.id, ino, count)) return true;
    return lowers.some((layer) => layer.mayHave(ino) && dentries.hasMoreThan(layer.id, ino, count));
  }

  /** Whether a lower layer would show `name` in `directory` if the upper layer had no entry for it. */
  showsFromBelow(directory: Inode, name: Name): boolean {
    if (this.chain.isLive(directory.ino)) return this.showsFromLive(directory, name);
    return this.existsBelow(directory.ino) && this.chain.name(directory, name) !== NO_ENTRY;
  }

  /** Also true when the host cannot answer: then the whiteout stays, and the removed name does not come back. */
  private showsFromLive(directory: Inode, name: Name): boolean {
    try {
      return this.chain.name(directory, name) !== NO_ENTRY;
    } catch (error) {
      if (!isFsError(error)) throw error;
      return true;
    }
  }
}
