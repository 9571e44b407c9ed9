/**
 * A directory of the host as the lowest layer of a tree. Nothing is read or copied in advance, and nothing is ever
 * written to the directory. Names, attributes and bytes are the host's at the time of each call, unless a layer above
 * has recorded them. docs/host-trees.md says what happens when the host changes them.
 *
 * No symlink is followed and no mount point is crossed: a filesystem mounted inside the directory is another tree. If
 * the store itself lies inside the directory, it is hidden.
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
  /** The store's own directory, which is hidden if it lies in the host tree. */
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
  /** The result of the last `dentry`, kept for the call of `inode` that mostly follows it. */
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

  /** The number of the root directory of a tree over `source`. */
  static rootOf(source: HostSource): Ino {
    return new HostPlaces(source).root;
  }

  /** Call this when a tree is opened: closes all files if another directory is now at the root's path. */
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
      // Undefined: removed since the names were read.
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
      names.push(name as Name); // A name from the host.
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

  forgetSeen(): void {
    this.seenStat = undefined;
  }

  inode(ino: Ino): InodeRecord | undefined {
    if (!isDerived(ino)) return undefined;
    const place = this.places.get(ino);
    if (place === undefined) return undefined;
    const seen = this.seenIno === ino ? this.seenStat : undefined;
    if (seen !== undefined) this.seenStat = undefined;
    const stat = seen ?? this.statOf(ino, place);
    return stat && this.recordAt(stat, place);
  }

  /**
   * The stat of a file; undefined if the file is no longer at its place. An open file counts as there even if its name
   * is gone.
   */
  private statOf(ino: Ino, place: HostPlace): HostStat | undefined {
    if (ino === this.places.root) return this.system.statFile(this.directories.root());
    const stat = this.statAt(place);
    if (stat !== undefined) return stat;
    // If the file is a directory that is held open, close it: it may have left the tree.
    this.directories.forget(ino);
    const open = place.blob === 0 ? undefined : this.blobs.externals.statOpen(place.blob as BlobId);
    if (open === undefined || !this.directories.isAt(place, open)) return undefined;
    return { ...open, nlink: Math.max(1, open.nlink) };
  }

  /** The stat of the file at a place; undefined if it is no longer the file that was seen there. */
  private statAt(place: HostPlace): HostStat | undefined {
    const stat = this.statPath(place);
    return stat !== undefined && this.directories.isAt(place, stat) ? stat : undefined;
  }

  /** The stat of whichever file is at the path now; undefined if there is none. */
  private statPath(place: HostPlace): HostStat | undefined {
    try {
      return this.inParent(place, (directory, name) => this.directories.statIn(directory, name));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /**
   * Calls `call` with the open directory that a place lies in, and the name in it. ENOENT or similar if the directory
   * is gone.
   */
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
      size: isFile ? stat.size : 0,
      blocks: isFile ? Math.ceil(stat.blocks / SECTORS_PER_BLOCK) : 0,
      extentLayer: isFile ? this.id : 0,
      xattrLayer: this.id,
      parent: type === S_IFDIR ? this.parentOf(place) : place.parent,
      target: type === S_IFLNK ? this.targetOf(place) : '',
    });
  }

  /**
   * Inode number of the directory that a place lies in; 0 if it is gone. If the place was learned from an origin, finds
   * the directory by the path.
   */
  private parentOf(place: HostPlace): Ino {
    let directory: Ino = this.places.root;
    if (place.parent === 0) {
      for (const name of place.path.split('/').slice(0, -1)) {
        const dentry = this.dentry(directory, name as Name); // Part of a path.
        if (dentry === undefined) return 0 as Ino; // In a record 0 means no parent.
        directory = dentry.ino;
      }
      place.parent = directory;
    }
    return place.parent as Ino; // Set above.
  }

  private targetOf(place: HostPlace): string {
    return nameFromBytes(this.inParent(place, (directory, name) => this.system.readLinkAt(directory, name)));
  }

  xattrs(ino: Ino): Map<string, Buffer> | undefined {
    const place = this.places.get(ino);
    if (place === undefined) return undefined;
    // Do not ask the filesystem that is mounted there.
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

  /**
   * The file's extents: one run over the whole file, because only the host knows its holes until the file is copied up.
   */
  runs(ino: Ino, sizeBytes: number): readonly Run[] {
    const place = this.places.get(ino);
    if (place === undefined || sizeBytes === 0) return [];
    if (place.blob === 0) place.blob = this.blobs.externals.follow(() => this.openFile(place));
    return [
      {
        logical: 0 as BlockIndex,
        count: blocksFor(sizeBytes),
        blob: place.blob as BlobId, // The number from `follow`.
        physical: 0 as BlockIndex,
      },
    ];
  }

  /**
   * Opens the file at a place for reading. If a layer above has recorded something about it, opens any regular file
   * that is there now. ESTALE if the file is gone.
   */
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
   * Adds the path on the host to an error, because the user asked for a file of the fork and cannot guess which host
   * file that is. The path in the error itself may lead through a descriptor.
   */
  private named(error: unknown, place: { readonly path: string }, kind = 'file'): unknown {
    if (!isFsError(error) || error.note !== undefined) return error;
    return new FsError(error.code, { note: `of the host ${kind} '${this.directories.shown(place)}'` });
  }

  private namedIn(error: unknown, directory: Ino): unknown {
    const place = this.places.get(directory);
    return place === undefined ? error : this.named(error, place, 'directory');
  }

  private statOpened(fd: number): HostStat {
    try {
      return this.system.statFile(fd);
    } catch (error) {
      this.system.close(fd);
      throw error;
    }
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
        const { ino: hostIno, btime, size, mtime, ctime } = this.statOpened(fd);
        const state: ExternalState = {
          layer: this.id,
          ino: hostIno,
          birth: btime,
          sizeBytes: size,
          modified: mtime,
          changed: ctime,
          path: place.path,
        };
        return { fd, state };
      },
    };
  }

  /** Opens the host file of a recorded blob, without comparing it with `state`. Throws errors of the host. */
  openRecorded(state: ExternalState): number {
    try {
      return this.directories.openToRead(state.path);
    } catch (error) {
      throw this.named(error, state);
    }
  }

  /**
   * The stat of the file whose bytes the place shows. Takes any regular file at the place, because the layers above
   * recorded only attributes. ESTALE if there is none.
   */
  private statContent(place: HostPlace): HostStat {
    const stat = this.statPath(place);
    if (stat !== undefined && isFileMode(stat.mode)) return stat;
    throw new FsError('ESTALE', { note: `the host file '${this.directories.shown(place)}' is gone` });
  }

  close(): void {
    this.directories.close();
    // Forks may have recorded files of this tree open as well. `closeAll` closes those of other trees too; they are
    // opened again when they are used.
    this.blobs.externals.closeAll();
    for (const place of this.places.values()) {
      if (place.blob !== 0) this.blobs.externals.unfollow(place.blob as BlobId);
      place.blob = 0;
      // The next mount of this filesystem may have another device number.
      place.device = undefined;
    }
  }
}
