/** Open directories of a host tree, so that a name is looked up in the directory and not along a path. */
import {
  BLOCK_SIZE,
  DT_DIR,
  FsError,
  type Ino,
  isFsError,
  isMissing,
  nameFromBytes,
  nameToBytes,
  nameToString,
  S_IFDIR,
} from '../base/index.ts';
import { type HostSource, isSameDirectory } from '../meta/index.ts';
import {
  type HostEntry,
  type HostMounts,
  type HostStat,
  O_DIRECTORY,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  type System,
} from '../sys/index.ts';
import { directoryIdentity, leadsThroughRamet, openDirectory } from './host-identity.ts';
import { type HostPlace, type HostPlaces, isIdentity, partOf } from './host-places.ts';
import type { HostPart } from './origin-format.ts';

const DIRECTORIES_MAX = 256;
const HERE = Buffer.from('.');

export class HostDirectories {
  private readonly system: System;
  private readonly mounts: HostMounts;
  private readonly source: HostSource;
  private readonly places: HostPlaces;
  /** In the order in which they were last used. */
  private readonly opened = new Map<Ino, number>();
  private rootFd = -1;
  private rootStat: HostStat | undefined;
  /** The table of mounts that `mayLookCached` was computed from. */
  private askedTable: readonly unknown[] = [];
  private mayLookCached = false;

  constructor(system: System, mounts: HostMounts, source: HostSource, places: HostPlaces) {
    this.system = system;
    this.mounts = mounts;
    this.source = source;
    this.places = places;
  }

  /** The root, opened when first needed. ESTALE when it is gone, or another directory is in its place. */
  root(): number {
    if (this.rootFd !== -1) return this.rootFd;
    const { system, source, mounts } = this;
    if (leadsThroughRamet(mounts, source.path)) throw this.lost('is covered by a mount of Ramet');
    let fd: number;
    try {
      fd = openDirectory(system, source.path);
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) throw this.lost('is gone');
      throw error;
    }
    const stat = system.statFile(fd);
    if (!isSameDirectory(source, directoryIdentity(system, fd, stat))) {
      system.close(fd);
      throw this.lost('was replaced by another directory');
    }
    this.rootFd = fd;
    this.rootStat = stat;
    return fd;
  }

  /** Whether the root that is held open is not what is at its path. One below a mount of Ramet is not looked at. */
  hasMoved(): boolean {
    const { system, source, rootStat } = this;
    if (rootStat === undefined || leadsThroughRamet(this.mounts, source.path)) return false;
    try {
      const now = system.statHost(nameToBytes(source.path), false);
      return now.ino !== rootStat.ino || now.dev !== rootStat.dev;
    } catch (error) {
      if (!isFsError(error)) throw error;
      return true;
    }
  }

  /** Opens a file below the root by its path from there, through no symlink and no mount point. */
  openFile(path: string, flags: number): number {
    return this.system.openBeneath(this.root(), nameToBytes(path), flags | O_NOFOLLOW);
  }

  /** As `openFile`, for reading; what is read leaves no access time, where that is allowed (root, or the owner). */
  openToRead(path: string): number {
    try {
      return this.openFile(path, O_NONBLOCK | O_NOATIME);
    } catch (error) {
      if (!isFsError(error, 'EPERM')) throw error;
      return this.openFile(path, O_NONBLOCK);
    }
  }

  /** The part of the host's filesystem that something lies in. The root is open. */
  partOf(stat: HostStat): HostPart {
    return partOf(stat, this.rootStat ?? stat);
  }

  /** Whether what the host shows is the file that was met before. */
  isAt(place: HostPlace, stat: HostStat): boolean {
    return isIdentity(place, stat, this.partOf(stat));
  }

  /** What is under a name in an open directory; undefined when nothing is. What is mounted there is not asked. */
  statIn(directory: number, name: Buffer): HostStat | undefined {
    const table = this.mounts.recent();
    if (table !== this.askedTable) {
      this.askedTable = table;
      this.mayLookCached = this.mounts.mayLookCached(this.source.path);
    }
    try {
      return this.system.statAt(directory, name, this.mayLookCached);
    } catch (error) {
      if (isFsError(error, 'EXDEV')) return this.mountPoint(directory, name);
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /** What can be said of a mount point without looking at it: what its parent directory says. */
  private mountPoint(directory: number, bytes: Buffer): HostStat | undefined {
    const name = nameFromBytes(bytes);
    const entry = this.names(directory).find((listed) => listed.name === name);
    if (entry === undefined) return undefined;
    const isDirectory = entry.kind === DT_DIR || entry.kind === 0;
    return {
      ...this.system.statFile(directory),
      ino: entry.ino,
      mode: isDirectory ? S_IFDIR | 0o555 : (entry.kind << 12) | 0o444,
      nlink: isDirectory ? 2 : 1,
      // With size 0, a read would return nothing instead of an error.
      size: BLOCK_SIZE,
      btime: undefined,
      isMountPoint: true,
    };
  }

  /** What an open directory lists; nothing when it was removed meanwhile. */
  names(directory: number): readonly HostEntry[] {
    try {
      return this.system.readDirectory(directory);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  /** The host's path of a place, for messages. */
  shown({ path }: { readonly path: string }): string {
    return nameToString(path === '' ? this.source.path : `${this.source.path}/${path}`);
  }

  /**
   * The directory, good until the next call. Undefined when it is not where it was; EXDEV when it is a mount point, for
   * what is mounted there is another tree.
   */
  open(ino: Ino, place: HostPlace): number | undefined {
    const root = this.root();
    if (ino === this.places.root) return root;
    const known = this.opened.get(ino);
    if (known !== undefined) {
      this.opened.delete(ino);
      this.opened.set(ino, known);
      return known;
    }
    if (place.isMountPoint) throw this.mounted(place);
    const fd = this.openFromAbove(place);
    if (fd === undefined) return undefined;
    if (this.opened.size >= DIRECTORIES_MAX) this.closeOldest();
    this.opened.set(ino, fd);
    return fd;
  }

  private openFromAbove(place: HostPlace): number | undefined {
    const { system } = this;
    const above = place.parent === 0 ? undefined : this.opened.get(place.parent);
    const start = above ?? this.root();
    const path = above === undefined ? place.path : place.path.slice(place.path.lastIndexOf('/') + 1);
    let fd: number;
    try {
      const bytes = path === '' ? HERE : nameToBytes(path);
      fd = system.openBeneath(start, bytes, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    } catch (error) {
      if (isFsError(error, 'EXDEV')) throw this.mounted(place);
      if (isMissing(error)) return undefined;
      throw error;
    }
    const stat = system.statFile(fd);
    if (this.isAt(place, stat)) return fd;
    system.close(fd);
    return undefined;
  }

  private mounted(place: HostPlace): FsError {
    const note =
      `'${this.shown(place)}' is a mount point, and what is mounted there is not part of the host tree: ` +
      'import it, or fork it by itself';
    return new FsError('EXDEV', { note });
  }

  private lost(what: string): FsError {
    const note =
      `the host directory '${nameToString(this.source.path)}' ${what}: put it back; ` +
      'what the fork has written itself is not lost';
    return new FsError('ESTALE', { note });
  }

  /** The next use looks for it again. */
  forget(ino: Ino): void {
    const fd = this.opened.get(ino);
    if (fd === undefined) return;
    this.opened.delete(ino);
    this.system.close(fd);
  }

  private closeOldest(): void {
    const oldest = this.opened.entries().next();
    if (oldest.done === true) return;
    this.forget(oldest.value[0]);
  }

  close(): void {
    while (this.opened.size > 0) this.closeOldest();
    if (this.rootFd !== -1) this.system.close(this.rootFd);
    this.rootFd = -1;
    this.rootStat = undefined;
  }
}
