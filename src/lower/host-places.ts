/** The places, by inode number, of all files of a host tree that its layer has seen so far. */
import {
  checksum64,
  type HostIno,
  type Ino,
  isDirectoryMode,
  type Name,
  type Timespec,
} from '../base/index.ts';
import type { HostSource } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';
import { derivedIno, nextDerivedIno } from './derived-numbers.ts';
import {
  decodeHostOrigin,
  ELSEWHERE,
  encodeHostOrigin,
  type HostOrigin,
  type HostPart,
  MOUNTED,
  SUBVOLUMES,
} from './origin-format.ts';

/** The part of the host tree in which a file lies, from the stats of the file and of the tree's root. */
export function partOf(stat: HostStat, root: HostStat): HostPart {
  if (stat.isMountPoint) return MOUNTED;
  if (stat.dev === root.dev) return 0;
  const isNumbered = stat.subvolume !== undefined && root.subvolume !== undefined;
  return isNumbered ? SUBVOLUMES + stat.subvolume : ELSEWHERE;
}

/** Identifies a file on the host. */
interface HostFile {
  readonly hostIno: HostIno;
  readonly birthSeconds: number;
  readonly birthNanoseconds: number;
  part: HostPart;
  /** The file's st_dev, which may change at the next mount. Undefined while the file is known only from its origin. */
  device: number | undefined;
}

/** One file of a host tree. */
export interface HostPlace extends HostFile {
  /** Inode number of the directory in which the file was last seen; 0 if that is not known. */
  parent: Ino | 0;
  /** The path from the root of the tree. */
  path: string;
  /** True if another filesystem is mounted here. Then nothing below this place is read. */
  isMountPoint: boolean;
  /** Number of the blob that stands for the file's bytes (`ExternalFiles.follow`); 0 until one is needed. */
  blob: number;
  /** True once a layer above has recorded something about the file, under this path. */
  isAnchored: boolean;
  /**
   * True if the file has a single name on the host; for an anchored file, if it had a single name when it was anchored.
   */
  hasOneName: boolean;
}

/** Questions about places, which the host layer answers. */
export interface KnownPlaces {
  /** The stored origin of an inode number; undefined if none is stored. */
  stored(ino: Ino): Uint8Array | undefined;
  /** True if the file is still at its place. */
  isThere(place: HostPlace): boolean;
}

const NOTHING_KNOWN: KnownPlaces = { stored: () => undefined, isThere: () => false };
const IDENTITY_BYTES = 32;
/** Stands for times that the host does not keep. */
const NEVER: Timespec = { seconds: 0, nanoseconds: 0 };

export class HostPlaces {
  readonly root: Ino;
  private readonly salt: bigint;
  private readonly places = new Map<Ino, HostPlace>();
  private readonly identity = Buffer.alloc(IDENTITY_BYTES);
  private readonly known: KnownPlaces;

  constructor(source: HostSource, known: KnownPlaces = NOTHING_KNOWN) {
    this.known = known;
    const { ino, birth = NEVER } = source;
    this.writeIdentity(ino, birth, 0);
    this.salt = checksum64(this.identity);
    this.root = derivedIno(this.identity, this.salt);
    const place = newPlace(ino, birth, 0, '', true);
    place.parent = this.root;
    this.places.set(this.root, place);
  }

  /** The place where the file was last seen; undefined for an unknown number. */
  get(ino: Ino): HostPlace | undefined {
    const place = this.places.get(ino);
    if (place !== undefined) return place;
    const origin = this.known.stored(ino);
    return origin === undefined ? undefined : this.learn(ino, origin);
  }

  values(): Iterable<HostPlace> {
    return this.places.values();
  }

  /**
   * Notes the place of a file that was just seen under a name, and returns its inode number. An anchored file with one
   * name keeps its place: if the host moves the file, the file at the new place counts as another one, with a number of
   * its own.
   */
  meet(stat: HostStat, part: HostPart, parent: Ino, name: Name): Ino {
    const { ino: hostIno, btime = NEVER } = stat;
    this.writeIdentity(hostIno, btime, part);
    const above = this.places.get(parent)?.path ?? '';
    let ino = derivedIno(this.identity, this.salt);
    for (;;) {
      const place = this.get(ino);
      if (place === undefined) break;
      if (this.isMet(place, stat, part, above, name)) {
        if (place.parent !== parent || !isPathOf(place.path, above, name)) {
          place.parent = parent;
          place.path = joined(above, name);
        }
        place.isMountPoint = stat.isMountPoint;
        if (!place.isAnchored) place.hasOneName = hasOneName(stat);
        return ino;
      }
      ino = nextDerivedIno(ino);
    }
    const place = newPlace(hostIno, btime, part, joined(above, name), hasOneName(stat));
    place.device = stat.dev;
    place.parent = parent;
    place.isMountPoint = stat.isMountPoint;
    this.places.set(ino, place);
    return ino;
  }

  /**
   * True if the file just seen under a name is the file of `place`, which was seen earlier under this or another name.
   */
  private isMet(place: HostPlace, stat: HostStat, part: HostPart, above: string, name: string): boolean {
    if (isPathOf(place.path, above, name)) return isIdentity(place, stat, part);
    // An anchored file that was moved, or got another name, since it was anchored counts as another file.
    if (place.isAnchored && place.hasOneName) return false;
    // `isThere` also sets `place.device`, which `isIdentity` needs.
    if (place.device === undefined && place.part !== 0 && !this.known.isThere(place)) return false;
    if (!isIdentity(place, stat, part)) return false;
    // Without birth times, the host may have given the number to another file, unless the first file is still at its
    // place.
    return hasBirth(place) || (!hasOneName(stat) && this.known.isThere(place));
  }

  /**
   * Anchors a file about which a layer above is about to record something. Returns the file's origin, which says how to
   * find the file again and what its present state is.
   */
  encode(place: HostPlace, stat: HostStat | undefined): Uint8Array {
    place.isAnchored = true;
    return encodeHostOrigin({
      ...place,
      mode: stat?.mode ?? 0,
      sizeBytes: stat?.size ?? 0,
      modified: stat?.mtime ?? NEVER,
    });
  }

  /**
   * Adds the place that a stored origin describes, unless the file was seen already. Anchors the file. Throws
   * DecodeError.
   */
  learn(ino: Ino, origin: Uint8Array): HostPlace {
    const known = this.places.get(ino);
    if (known !== undefined) {
      known.isAnchored = true;
      return known;
    }
    const { hostIno, birthSeconds, birthNanoseconds, part, hasOneName, path } = decodeHostOrigin(origin);
    const birth = { seconds: birthSeconds, nanoseconds: birthNanoseconds };
    const place = newPlace(hostIno, birth, part, path, hasOneName);
    place.isAnchored = true;
    this.places.set(ino, place);
    return place;
  }

  private writeIdentity(hostIno: HostIno, { seconds, nanoseconds }: Timespec, part: HostPart): void {
    if (typeof hostIno === 'number') this.identity.writeDoubleLE(hostIno, 0);
    else this.identity.writeBigUInt64LE(hostIno, 0);
    this.identity.writeDoubleLE(seconds, 8);
    this.identity.writeDoubleLE(nanoseconds, 16);
    this.identity.writeDoubleLE(part, 24);
  }
}

/** The place of a file met for the first time. The caller sets the parent, the device and `isMountPoint` if known. */
function newPlace(
  hostIno: HostIno,
  birth: Timespec,
  part: HostPart,
  path: string,
  hasOneName: boolean,
): HostPlace {
  return {
    hostIno,
    birthSeconds: birth.seconds,
    birthNanoseconds: birth.nanoseconds,
    part,
    device: undefined,
    parent: 0,
    path,
    isMountPoint: false,
    blob: 0,
    isAnchored: false,
    hasOneName,
  };
}

/**
 * True if a stat is that of the file of `place`. A place that is known only from an origin has no device. For it, pass
 * the stat of the file that is now at the place; if that is the same file, its part and device are noted in `place`.
 */
export function isIdentity(place: HostFile, { ino, btime, dev }: HostStat, part: HostPart): boolean {
  const isSameFile =
    place.hostIno === ino &&
    place.birthSeconds === (btime?.seconds ?? 0) &&
    place.birthNanoseconds === (btime?.nanoseconds ?? 0);
  if (!isSameFile) return false;
  if (place.device !== undefined) return place.part === part && (part === 0 || place.device === dev);
  const isNamed = place.part === 0 || place.part === MOUNTED || place.part > SUBVOLUMES;
  const isSamePart = isNamed ? place.part === part : part !== 0 && part !== MOUNTED;
  if (isSamePart) Object.assign(place, { part, device: dev });
  return isSamePart;
}

/** True if `found`, the file now at the place of an origin, is the file that the origin describes. */
export function isOrigin(origin: HostOrigin, found: HostStat, root: HostStat): boolean {
  return isIdentity({ ...origin, device: undefined }, found, partOf(found, root));
}

function hasBirth({ birthSeconds, birthNanoseconds }: HostPlace): boolean {
  return birthSeconds !== 0 || birthNanoseconds !== 0;
}

function hasOneName({ mode, nlink }: HostStat): boolean {
  return nlink < 2 || isDirectoryMode(mode);
}

function joined(above: string, name: string): string {
  return above === '' ? name : `${above}/${name}`;
}

function isPathOf(path: string, above: string, name: string): boolean {
  if (above === '') return path === name;
  const isLong = path.length === above.length + 1 + name.length;
  return isLong && path[above.length] === '/' && path.startsWith(above) && path.endsWith(name);
}
