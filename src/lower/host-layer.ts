/**
 * A directory of the host as the lowest layer of a tree: nothing is read or copied ahead, and nothing is ever written
 * there. Names, attributes and bytes are the host's at the time they are asked for; what a layer above has recorded
 * hides them. docs/host-trees.md says what that means when the host changes underneath.
 *
 * A symlink is never followed, and no mount point is crossed: what is mounted inside of the directory is another tree.
 * The store itself, where it lies inside, is not there.
 */
import {
  type BlobId,
  type BlockIndex,
  blocksFor,
  FsError,
  type Ino,
  isDirectoryMode,
  isFileMode,
  isFsError,
  isMissing,
  kindOfMode,
  type LayerId,
  type Name,
  nameFromBytes,
  nameToBytes,
  type Run,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SECTORS_PER_BLOCK,
} from '../base/index.ts';
import type { BlobSpace, ExternalState } from '../blob/index.ts';
import type { DentryRecord, HostSource, InodeRecord, MetaTables, NamedDentry } from '../meta/index.ts';
import {
  type HostEntry,
  type HostMounts,
  type HostStat,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  type System,
} from '../sys/index.ts';
import { isDerived } from './derived-numbers.ts';
import { HostDirectories } from './host-directories.ts';
import { type HostPlace, HostPlaces } from './host-places.ts';
import { hostRecord } from './host-record.ts';
import type { DerivedLower, HostFile } from './lower.ts';

export interface HostLayerParts {
  readonly system: System;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly mounts: HostMounts;
  /** The store's own directory, which is hidden where it lies in the host tree. */
  readonly store: Pick<HostStat, 'ino' | 'dev'>;
}

export class HostLayer implements DerivedLower {
  readonly id: LayerId;
  readonly isBase = true;
  readonly isLive = true;
  readonly source: HostSource;
  private readonly system: System;
  private readonly blobs: BlobSpace;
  private readonly places: HostPlaces;
  private readonly directories: HostDirectories;
  private readonly store: Pick<HostStat, 'ino' | 'dev'>;
  /** What the last lookup has just seen, for the next question about that inode. */
  private seenIno: Ino | 0 = 0;
  private seenStat: HostStat | undefined;

  constructor({ system, tables, blobs, mounts, store }: HostLayerParts, id: LayerId, source: HostSource) {
    this.id = id;
    this.source = source;
    this.system = system;
    this.blobs = blobs;
    this.store = store;
    this.places = new HostPlaces(source, {
      stored: (ino) => tables.origins.get(id, ino),
      isThere: (place) => this.statAt(place) !== undefined,
    });
    this.directories = new HostDirectories(system, mounts, source, this.places);
  }

  /** The number of the root directory of such a tree. */
  static rootOf(source: HostSource): Ino {
    return new HostPlaces(source).root;
  }

  /** To be called when a tree is opened: gives up directories held open that are not those at their paths now. */
  confirm(): void {
    if (this.directories.hasMoved()) this.close();
  }

  mayHave(ino: Ino): boolean {
    return isDerived(ino);
  }

  origin(ino: Ino): Uint8Array | undefined {
    const place = this.places.get(ino);
    return place === undefined ? undefined : this.places.encode(place, this.statOf(ino, place));
  }

  learn(ino: Ino, origin: Uint8Array): void {
    this.places.learn(ino, origin);
  }

  placeOf(ino: Ino): { readonly directory: Ino; readonly name: Name } | undefined {
    const place = this.places.get(ino);
    if (place === undefined || place.parent === 0 || ino === this.places.root) return undefined;
    return { directory: place.parent, name: place.path.slice(place.path.lastIndexOf('/') + 1) as Name };
  }

  // Names.

  dentry(directory: Ino, name: Name): DentryRecord | undefined {
    const fd = this.openDirectory(directory);
    let stat: HostStat | undefined;
    try {
      stat = fd === undefined ? undefined : this.directories.statIn(fd, nameToBytes(name));
    } catch (error) {
      throw this.namedIn(error, directory);
    }
    if (stat === undefined || this.isStore(stat)) return undefined;
    const ino = this.places.meet(stat, this.directories.partOf(stat), directory, name);
    this.seenIno = ino;
    this.seenStat = stat;
    return { ino, kind: kindOfMode(stat.mode) };
  }

  list(directory: Ino): NamedDentry[] {
    const dentries: NamedDentry[] = [];
    for (const name of this.names(directory)) {
      // Undefined: gone since the names were read.
      const dentry = this.dentry(directory, name);
      if (dentry !== undefined) dentries.push({ name, dentry });
    }
    return dentries;
  }

  names(directory: Ino): Name[] {
    const fd = this.openDirectory(directory);
    if (fd === undefined) return [];
    const names: Name[] = [];
    let entries: readonly HostEntry[];
    try {
      entries = this.directories.names(fd);
    } catch (error) {
      throw this.namedIn(error, directory);
    }
    for (const { name, ino } of entries) {
      if (ino === this.store.ino && this.dentry(directory, name as Name) === undefined) continue;
      names.push(name as Name); // What the host lists is a name.
    }
    return names;
  }

  private openDirectory(ino: Ino): number | undefined {
    const place = this.places.get(ino);
    try {
      return place === undefined ? undefined : this.directories.open(ino, place);
    } catch (error) {
      throw this.namedIn(error, ino);
    }
  }

  private isStore({ mode, ino, dev }: HostStat): boolean {
    return isDirectoryMode(mode) && ino === this.store.ino && dev === this.store.dev;
  }

  // Inodes.

  /** What the last lookup saw is not what the next caller wants to know. */
  forgetSeen(): void {
    this.seenStat = undefined;
  }

  inode(ino: Ino): InodeRecord | undefined {
    if (!isDerived(ino)) return undefined;
    if (this.seenIno === ino && this.seenStat !== undefined) {
      const stat = this.seenStat;
      this.seenStat = undefined;
      return this.recordAt(stat, this.places.get(ino)!);
    }
    const place = this.places.get(ino);
    if (place === undefined) return undefined;
    const stat = this.statOf(ino, place);
    return stat === undefined ? undefined : this.recordAt(stat, place);
  }

  /** Undefined when the file is not where it was. One that is open is still there, whatever became of its name. */
  private statOf(ino: Ino, place: HostPlace): HostStat | undefined {
    if (ino === this.places.root) return this.system.statFile(this.directories.root());
    const stat = this.statAt(place);
    if (stat !== undefined) return stat;
    // A directory that is held open is not looked into any more: it may have left the tree.
    this.directories.forget(ino);
    const open = place.blob === 0 ? undefined : this.blobs.externals.statOpen(place.blob as BlobId);
    if (open === undefined || !this.directories.isAt(place, open)) return undefined;
    return { ...open, nlink: Math.max(1, open.nlink) };
  }

  /** The file at its place; undefined where it is not there any more. */
  private statAt(place: HostPlace): HostStat | undefined {
    const stat = this.statPath(place);
    return stat !== undefined && this.directories.isAt(place, stat) ? stat : undefined;
  }

  /** What is at the path now, whatever it is. */
  private statPath(place: HostPlace): HostStat | undefined {
    try {
      return this.inParent(place, (directory, name) => this.directories.statIn(directory, name));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Calls with the open directory that a place lies in, and its name there. ENOENT and others where it is gone. */
  private inParent<T>({ parent, path }: HostPlace, call: (directory: number, name: Buffer) => T): T {
    const slash = path.lastIndexOf('/');
    const name = nameToBytes(path.slice(slash + 1));
    const known = parent === 0 ? undefined : this.openDirectory(parent);
    let fd: number | undefined;
    try {
      if (known !== undefined) return call(known, name);
      if (slash < 0) return call(this.directories.root(), name);
      fd = this.directories.openFile(path.slice(0, slash), O_PATH | O_DIRECTORY);
      return call(fd, name);
    } catch (error) {
      throw this.named(error, { path });
    } finally {
      if (fd !== undefined) this.system.close(fd);
    }
  }

  private recordAt(stat: HostStat, place: HostPlace): InodeRecord {
    const type = stat.mode & S_IFMT;
    const isFile = type === S_IFREG;
    return hostRecord(stat, {
      nlink: stat.nlink,
      sizeBytes: isFile ? stat.size : 0,
      blocks: isFile ? Math.ceil(stat.blocks / SECTORS_PER_BLOCK) : 0,
      extentLayer: isFile ? this.id : 0,
      xattrLayer: this.id,
      parent: type === S_IFDIR ? this.parentOf(place) : place.parent,
      target: type === S_IFLNK ? this.targetOf(place) : '',
    });
  }

  /** Of a place that was learned the directory is found by its path. */
  private parentOf(place: HostPlace): Ino {
    let directory: Ino = this.places.root;
    if (place.parent === 0) {
      for (const name of place.path.split('/').slice(0, -1)) {
        const dentry = this.dentry(directory, name as Name); // A part of a path is a name.
        if (dentry === undefined) return 0 as Ino; // As above.
        directory = dentry.ino;
      }
      place.parent = directory;
    }
    return place.parent as Ino; // Not 0 any more.
  }

  private targetOf(place: HostPlace): string {
    return nameFromBytes(this.inParent(place, (directory, name) => this.system.readLinkAt(directory, name)));
  }

  xattrs(ino: Ino): Map<string, Buffer> | undefined {
    const place = this.places.get(ino);
    if (place === undefined) return undefined;
    // What is mounted there is not asked.
    if (place.isMountPoint) return new Map();
    if (ino === this.places.root) return this.system.readFileXattrs(this.directories.root());
    try {
      return this.inParent(place, (directory, name) => {
        const fd = this.system.openBeneath(directory, name, O_PATH | O_NOFOLLOW);
        try {
          return this.system.readFileXattrs(fd);
        } finally {
          this.system.close(fd);
        }
      });
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  // Bytes.

  /** All of the file as one run: where it has holes is the host's business, until it is copied up. */
  runs(ino: Ino, sizeBytes: number): readonly Run[] {
    const place = this.places.get(ino);
    if (place === undefined || sizeBytes === 0) return [];
    if (place.blob === 0) place.blob = this.blobs.externals.follow(() => this.openFile(place));
    return [
      {
        logical: 0 as BlockIndex,
        count: blocksFor(sizeBytes),
        blob: place.blob as BlobId, // The number that `follow` gave.
        physical: 0 as BlockIndex,
      },
    ];
  }

  /** The file at the place, or whatever regular file is there where something was recorded. ESTALE for none. */
  private openFile(place: HostPlace): number {
    try {
      const fd = this.directories.openToRead(place.path);
      const stat = this.system.statFile(fd);
      const isWanted = place.isAnchored || this.directories.isAt(place, stat);
      if (isFileMode(stat.mode) && isWanted) return fd;
      this.system.close(fd);
    } catch (error) {
      if (!isMissing(error)) throw this.named(error, place);
    }
    throw new FsError('ESTALE', { note: `the host file '${this.directories.shown(place)}' is gone` });
  }

  /**
   * The reader of the message asked for a file of the fork and cannot guess which file of the host it was; the path of
   * the call itself may lead through a descriptor.
   */
  private named(error: unknown, place: { readonly path: string }, kind = 'file'): unknown {
    if (!isFsError(error) || error.note !== undefined) return error;
    return new FsError(error.code, { note: `of the host ${kind} '${this.directories.shown(place)}'` });
  }

  /** An error in a directory, about whatever name, is named after the directory. */
  private namedIn(error: unknown, directory: Ino): unknown {
    const place = this.places.get(directory);
    return place === undefined ? error : this.named(error, place, 'directory');
  }

  hostFile(ino: Ino): HostFile | undefined {
    const place = this.places.get(ino);
    if (place === undefined) return undefined;
    return {
      isPinned: this.source.isPinned,
      stat: () => this.statContent(place),
      forget: () => {
        if (place.blob !== 0) this.blobs.externals.close(place.blob as BlobId);
      },
      open: () => {
        const fd = this.openFile(place);
        return { fd, state: this.stateOf(fd, place) };
      },
    };
  }

  /** Opens the host file that a recorded blob stands for, whatever it is now. Errors of the host. */
  openRecorded(state: ExternalState): number {
    try {
      return this.directories.openToRead(state.path);
    } catch (error) {
      throw this.named(error, state);
    }
  }

  /** Any file at the place counts: only attributes were changed above. */
  private statContent(place: HostPlace): HostStat {
    const stat = this.statPath(place);
    if (stat !== undefined && isFileMode(stat.mode)) return stat;
    throw new FsError('ESTALE', { note: `the host file '${this.directories.shown(place)}' is gone` });
  }

  private stateOf(fd: number, place: HostPlace): ExternalState {
    const { ino, btime, size, mtime, ctime } = this.system.statFile(fd);
    return {
      layer: this.id,
      ino,
      birth: btime,
      sizeBytes: size,
      modified: mtime,
      changed: ctime,
      path: place.path,
    };
  }

  close(): void {
    this.directories.close();
    // Recorded files of the tree may be open as well, by whatever fork read them; those of others are reopened.
    this.blobs.externals.closeAll();
    for (const place of this.places.values()) {
      if (place.blob !== 0) this.blobs.externals.unfollow(place.blob as BlobId);
      place.blob = 0;
      // What is mounted there the next time has another one.
      place.device = undefined;
    }
  }
}
