/** Where the files of a host tree are, by the numbers that stand for them: what a host layer has met so far. */
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

/** The part that a file lies in, given what is said of the root of its tree. */
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
  /** st_dev, which is another one after the next mount. Undefined until the file is seen, for one that was learned. */
  device: number | undefined;
}

/** One file of a host tree. */
export interface HostPlace extends HostFile {
  /** The directory it was last seen in, 0 where that is not known, and its path from the root of the tree. */
  parent: Ino | 0;
  path: string;
  /** Something else is mounted here: nothing below is looked at. */
  isMountPoint: boolean;
  /** The number of the followed blob that stands for its bytes, once they were asked for. */
  blob: number;
  /** A layer above has recorded something of it, under the path that it has here. */
  isAnchored: boolean;
  /** The host knows it by one name; once it is anchored: it did so then. */
  hasOneName: boolean;
}

/** What is known of places elsewhere. */
export interface KnownPlaces {
  /** What was stored of a number that was not met yet: its origin. */
  stored(ino: Ino): Uint8Array | undefined;
  /** Whether the file is still at its place. */
  isThere(place: HostPlace): boolean;
}

const NOTHING_KNOWN: KnownPlaces = { stored: () => undefined, isThere: () => false };
const IDENTITY_BYTES = 32;

export class HostPlaces {
  readonly root: Ino;
  private readonly salt: bigint;
  private readonly places = new Map<Ino, HostPlace>();
  private readonly identity = Buffer.alloc(IDENTITY_BYTES);
  private readonly known: KnownPlaces;

  constructor(source: HostSource, known: KnownPlaces = NOTHING_KNOWN) {
    this.known = known;
    const { ino, birth } = source;
    this.writeIdentity(ino, birth?.seconds ?? 0, birth?.nanoseconds ?? 0, 0);
    this.salt = checksum64(this.identity);
    this.root = derivedIno(this.identity, this.salt);
    this.places.set(this.root, {
      hostIno: ino,
      birthSeconds: birth?.seconds ?? 0,
      birthNanoseconds: birth?.nanoseconds ?? 0,
      part: 0,
      device: undefined,
      parent: this.root,
      path: '',
      isMountPoint: false,
      blob: 0,
      isAnchored: false,
      hasOneName: true,
    });
  }

  /** Where the file was last; undefined for a number that stands for nothing known. */
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
   * The number of a file that was just seen under a name; its place is noted. A file of which a layer above has
   * recorded something keeps its place: moved by the host, it counts as another file, with a number of its own.
   */
  meet(stat: HostStat, part: HostPart, parent: Ino, name: Name): Ino {
    const { ino: hostIno, btime, isMountPoint } = stat;
    const birthSeconds = btime?.seconds ?? 0;
    const birthNanoseconds = btime?.nanoseconds ?? 0;
    this.writeIdentity(hostIno, birthSeconds, birthNanoseconds, part);
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
        place.isMountPoint = isMountPoint;
        if (!place.isAnchored) place.hasOneName = hasOneName(stat);
        return ino;
      }
      ino = nextDerivedIno(ino);
    }
    const path = joined(above, name);
    this.places.set(ino, {
      hostIno,
      birthSeconds,
      birthNanoseconds,
      part,
      device: stat.dev,
      parent,
      path,
      isMountPoint,
      blob: 0,
      isAnchored: false,
      hasOneName: hasOneName(stat),
    });
    return ino;
  }

  /** Whether what is seen under a name is the file that was met, here or elsewhere. */
  private isMet(place: HostPlace, stat: HostStat, part: HostPart, above: string, name: string): boolean {
    if (isPathOf(place.path, above, name)) return isIdentity(place, stat, part);
    // Moved, or with a link that it had not, when something was recorded of it.
    if (place.isAnchored && place.hasOneName) return false;
    // A look at its place tells its device.
    if (place.device === undefined && place.part !== 0 && !this.known.isThere(place)) return false;
    if (!isIdentity(place, stat, part)) return false;
    // Without times of birth a number may be another file's by now, unless that is still where it was.
    return hasBirth(place) || (!hasOneName(stat) && this.known.isThere(place));
  }

  /** The origin of a file that is about to be recorded: what finds it again, and what it is now. */
  encode(place: HostPlace, stat: HostStat | undefined): Uint8Array {
    place.isAnchored = true;
    return encodeHostOrigin(place, {
      mode: stat?.mode ?? 0,
      sizeBytes: stat?.size ?? 0,
      modified: stat?.mtime ?? NEVER,
    });
  }

  /** Takes in what an origin says of a number, unless something is known of it that was seen since. DecodeError. */
  learn(ino: Ino, origin: Uint8Array): HostPlace {
    const known = this.places.get(ino);
    if (known !== undefined) {
      known.isAnchored = true;
      return known;
    }
    const { hostIno, birthSeconds, birthNanoseconds, part, hasOneName, path } = decodeHostOrigin(origin);
    const place: HostPlace = {
      hostIno,
      birthSeconds,
      birthNanoseconds,
      part,
      device: undefined,
      parent: 0 as const,
      path,
      isMountPoint: false,
      blob: 0,
      isAnchored: true,
      hasOneName,
    };
    this.places.set(ino, place);
    return place;
  }

  private writeIdentity(hostIno: HostIno, seconds: number, nanoseconds: number, part: HostPart): void {
    if (typeof hostIno === 'number') this.identity.writeDoubleLE(hostIno, 0);
    else this.identity.writeBigUInt64LE(hostIno, 0);
    this.identity.writeDoubleLE(seconds, 8);
    this.identity.writeDoubleLE(nanoseconds, 16);
    this.identity.writeDoubleLE(part, 24);
  }
}

/**
 * Whether what the host shows is the file that was met before. One that was learned must be what is at its
 * place: from then on its device is known.
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

/** Whether this is the file of an origin. It must be what is at its place. */
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
  return path.length === above.length + 1 + name.length && path.startsWith(above) && path.endsWith(name);
}

const NEVER: Timespec = { seconds: 0, nanoseconds: 0 };
