/**
 * Open directories of a host tree, in which names are looked up without walking a path. This file also defines the
 * identity by which a directory is recognized later.
 */
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
import { type HostIdentity, type HostSource, isSameDirectory } from '../meta/index.ts';
import {
  type HostEntry,
  type HostMounts,
  type HostStat,
  O_DIRECTORY,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  type System,
} from '../sys/index.ts';
import { type HostPlace, type HostPlaces, isIdentity, partOf } from './host-places.ts';
import type { HostPart } from './origin-format.ts';

const DIRECTORIES_MAX = 256;
const HERE = Buffer.from('.');

export class HostDirectories {
  private readonly system: System;
  private readonly mounts: HostMounts;
  private readonly source: HostSource;
  private readonly places: HostPlaces;
  /** Descriptors of open directories, least recently used first. */
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

  /**
   * The descriptor of the root, which the first call opens. ESTALE when the root is gone, was replaced by another
   * directory, or is covered by a mount of Ramet.
   */
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

  /**
   * Whether the path of the open root now leads to another directory, or to none. False below a mount of Ramet, where
   * the path is not looked at.
   */
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

  /**
   * Like `openFile`, for reading. Leaves the access time alone where the host allows that (to root and to the file's
   * owner).
   */
  openToRead(path: string): number {
    try {
      return this.openFile(path, O_NONBLOCK | O_NOATIME);
    } catch (error) {
      if (!isFsError(error, 'EPERM')) throw error;
      return this.openFile(path, O_NONBLOCK);
    }
  }

  /** The part of the host's filesystem that has a file of this tree. The root must be open. */
  partOf(stat: HostStat): HostPart {
    return partOf(stat, this.rootStat ?? stat);
  }

  /** Like `isIdentity`, for this tree. */
  isAt(place: HostPlace, stat: HostStat): boolean {
    return isIdentity(place, stat, this.partOf(stat));
  }

  /**
   * The stat of a name in an open directory; undefined if the name does not exist. Does not ask a filesystem that is
   * mounted at the name.
   */
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

  /** A stat of a mount point, made from its entry in the parent directory. The mount point itself is not looked at. */
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

  /** The entries of an open directory; none when it was removed meanwhile. */
  names(directory: number): readonly HostEntry[] {
    try {
      return this.system.readDirectory(directory);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  /** The path on the host, for messages. */
  shown({ path }: { readonly path: string }): string {
    return nameToString(path === '' ? this.source.path : `${this.source.path}/${path}`);
  }

  /**
   * The descriptor of a directory, valid until the next call. Undefined when the directory is no longer at its place;
   * EXDEV for a mount point, because the filesystem mounted there is another tree.
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

  /** Closes a directory. The next use opens it again. */
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

/** True if Ramet, perhaps this very process, may have to answer a lookup of the path. */
export function leadsThroughRamet(mounts: HostMounts, path: string): boolean {
  return mounts.leadsThrough(path, 'fuse.ramet');
}

/**
 * Opens a directory by its path, a byte string. Follows symlinks, except as the last name. Fails with errors of the
 * host.
 */
export function openDirectory(system: System, path: string): number {
  const bytes = nameToBytes(path);
  try {
    return system.openHost(bytes, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    // Names can be looked up even in a directory that cannot be listed.
    if (!isFsError(error, 'EACCES')) throw error;
    return system.openHost(bytes, O_PATH | O_DIRECTORY);
  }
}

/** The identity of an open directory. */
export function directoryIdentity(
  system: System,
  fd: number,
  { ino, btime, subvolume }: HostStat = system.statFile(fd),
): HostIdentity {
  return { ino, birth: btime, fileSystemUuid: system.fileSystemUuid(fd), subvolume };
}
