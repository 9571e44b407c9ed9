/** Open directories of a host tree, so that a name is looked up in the directory and not along a path. */
import { FsError, type Ino, isFsError, isMissing, nameToBytes, nameToString } from '../base/index.ts';
import type { HostSource } from '../meta/index.ts';
import type { HostStat, System } from '../sys/index.ts';
import { type HostPlace, type HostPlaces, isIdentity } from './host-places.ts';

const DIRECTORIES_MAX = 256;
const O_NONBLOCK = 0o4000;
const O_NOATIME = 0o1000000;
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
/** No st_dev: those have 32 bits. */
const MOUNTED = 2 ** 40;
const HERE = Buffer.from('.');

/** The type of the mounts that `interface/fuse` makes. */
const MOUNT_TYPE = 'fuse.ramet';

/** Whether what is at a path is served by Ramet, maybe by this very process, which would wait for itself. */
export function isMountOfRamet(system: System, path: string): boolean {
  return system.mountTypeAt(path) === MOUNT_TYPE;
}

export class HostDirectories {
  private readonly system: System;
  private readonly source: HostSource;
  private readonly places: HostPlaces;
  /** In the order in which they were last used. */
  private readonly opened = new Map<Ino, number>();
  private rootFd = -1;
  /** st_dev of the root while it is open. */
  private rootDev = 0;

  constructor(system: System, source: HostSource, places: HostPlaces) {
    this.system = system;
    this.source = source;
    this.places = places;
  }

  /** The root, opened when first needed. ESTALE when it is gone, or another directory is in its place. */
  root(): number {
    if (this.rootFd !== -1) return this.rootFd;
    const { system, source } = this;
    if (isMountOfRamet(system, source.path)) throw this.lost('is covered by a mount of Ramet');
    let fd: number;
    try {
      fd = system.openHost(nameToBytes(source.path), O_PATH | O_DIRECTORY);
    } catch (error) {
      if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) throw this.lost('is gone');
      throw error;
    }
    const stat = system.statFile(fd);
    const { ino, birth } = source;
    const isSame =
      stat.ino === ino &&
      stat.btime?.seconds === birth?.seconds &&
      stat.btime?.nanoseconds === birth?.nanoseconds;
    if (!isSame) {
      system.close(fd);
      throw this.lost('was replaced by another directory');
    }
    this.rootFd = fd;
    this.rootDev = stat.dev;
    return fd;
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

  /** As `HostPlace.dev` has it. A mount point is no file of the tree, also where one is mounted on it a second time. */
  devOf(stat: HostStat): number {
    if (stat.isMountPoint) return MOUNTED;
    return stat.dev === this.rootDev ? 0 : stat.dev;
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
    const fd = this.openAnew(place);
    if (fd === undefined) return undefined;
    if (this.opened.size >= DIRECTORIES_MAX) this.closeOldest();
    this.opened.set(ino, fd);
    return fd;
  }

  private openAnew(place: HostPlace): number | undefined {
    const { system } = this;
    const above = place.parent === 0 ? undefined : this.opened.get(place.parent);
    const start = above ?? this.rootFd;
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
    if (isIdentity(place, stat, this.devOf(stat))) return fd;
    system.close(fd);
    return undefined;
  }

  private mounted(place: HostPlace): FsError {
    const note =
      `'${this.shown(place)}' is a mount point, and what is mounted there is not part of the host tree: ` +
      'import it, or fork it for itself';
    return new FsError('EXDEV', { note });
  }

  private lost(what: string): FsError {
    const note =
      `the host directory '${nameToString(this.source.path)}' ${what}: put it back; ` +
      'what the fork has written itself is not lost';
    return new FsError('ESTALE', { note });
  }

  /** It is looked for anew the next time. */
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
  }
}
