/** Where the files of a host tree are, by the numbers that stand for them: what a host layer has met so far. */
import {
  ByteReader,
  ByteWriter,
  checksum64,
  DecodeError,
  type Ino,
  type Name,
  type Timespec,
} from '../base/index.ts';
import type { HostSource } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';
import { derivedIno, nextDerivedIno } from './derived-numbers.ts';
import { S_IFDIR, S_IFMT } from './inode.ts';

/** One file of a host tree. */
export interface HostPlace {
  /** Who it is on the host. */
  readonly hostIno: number;
  readonly birthSeconds: number;
  readonly birthNanoseconds: number;
  /** 0 on the filesystem of the root; else another st_dev (a btrfs subvolume), or what stands for a mount point. */
  readonly dev: number;
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

const IDENTITY_BYTES = 32;

export class HostPlaces {
  readonly root: Ino;
  private readonly salt: bigint;
  private readonly places = new Map<Ino, HostPlace>();
  private readonly identity = Buffer.alloc(IDENTITY_BYTES);
  /** What was stored of a number that was not met yet: its origin. */
  private readonly stored: (ino: Ino) => Uint8Array | undefined;

  constructor(source: HostSource, stored: (ino: Ino) => Uint8Array | undefined = () => undefined) {
    this.stored = stored;
    const { ino, birth } = source;
    this.writeIdentity(ino, birth?.seconds ?? 0, birth?.nanoseconds ?? 0, 0);
    this.salt = checksum64(this.identity);
    this.root = derivedIno(this.identity, this.salt);
    this.places.set(this.root, {
      hostIno: ino,
      birthSeconds: birth?.seconds ?? 0,
      birthNanoseconds: birth?.nanoseconds ?? 0,
      dev: 0,
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
    const origin = this.stored(ino);
    return origin === undefined ? undefined : this.learn(ino, origin);
  }

  values(): Iterable<HostPlace> {
    return this.places.values();
  }

  /**
   * The number of a file that was just seen under a name; where it is now is noted. One of which a layer above has
   * recorded something stays where that was: moved by the host it is another file, with a number of its own.
   */
  meet(stat: HostStat, dev: number, parent: Ino, name: Name): Ino {
    const { ino: hostIno, btime, isMountPoint } = stat;
    const birthSeconds = btime?.seconds ?? 0;
    const birthNanoseconds = btime?.nanoseconds ?? 0;
    this.writeIdentity(hostIno, birthSeconds, birthNanoseconds, dev);
    const above = this.places.get(parent)?.path ?? '';
    let ino = derivedIno(this.identity, this.salt);
    for (;;) {
      const place = this.get(ino);
      if (place === undefined) break;
      if (isIdentity(place, stat, dev) && !isElsewhere(place, above, name)) {
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
      dev,
      parent,
      path,
      isMountPoint,
      blob: 0,
      isAnchored: false,
      hasOneName: hasOneName(stat),
    });
    return ino;
  }

  /** What finds a file again, of which something is recorded from here on, and what it is now. */
  encode(place: HostPlace, stat: HostStat | undefined): Uint8Array {
    place.isAnchored = true;
    return encodeHostOrigin(place, stat);
  }

  /** Takes in what an origin says of a number, unless something is known of it that was seen since. DecodeError. */
  learn(ino: Ino, origin: Uint8Array): HostPlace {
    const known = this.places.get(ino);
    if (known !== undefined) {
      known.isAnchored = true;
      return known;
    }
    const { hostIno, birthSeconds, birthNanoseconds, dev, hasOneName, path } = decodeHostOrigin(origin);
    const place = {
      hostIno,
      birthSeconds,
      birthNanoseconds,
      dev,
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

  private writeIdentity(hostIno: number, seconds: number, nanoseconds: number, dev: number): void {
    this.identity.writeDoubleLE(hostIno, 0);
    this.identity.writeDoubleLE(seconds, 8);
    this.identity.writeDoubleLE(nanoseconds, 16);
    this.identity.writeDoubleLE(dev, 24);
  }
}

/** Whether what the host shows is the file that was met before. */
export function isIdentity(place: HostPlace, { ino, btime }: HostStat, dev: number): boolean {
  return (
    place.hostIno === ino &&
    place.birthSeconds === (btime?.seconds ?? 0) &&
    place.birthNanoseconds === (btime?.nanoseconds ?? 0) &&
    place.dev === dev
  );
}

/** Whether a file is met where it was not when something was recorded of it: moved, or with a link that it had not. */
function isElsewhere(place: HostPlace, above: string, name: string): boolean {
  return place.isAnchored && place.hasOneName && !isPathOf(place.path, above, name);
}

function hasOneName({ mode, nlink }: HostStat): boolean {
  return nlink < 2 || (mode & S_IFMT) === S_IFDIR;
}

function joined(above: string, name: string): string {
  return above === '' ? name : `${above}/${name}`;
}

function isPathOf(path: string, above: string, name: string): boolean {
  if (above === '') return path === name;
  return path.length === above.length + 1 + name.length && path.startsWith(above) && path.endsWith(name);
}

/** What an origin says: who the file is, where it was, and what it was when something was first recorded of it. */
export interface HostOrigin {
  readonly hostIno: number;
  readonly birthSeconds: number;
  readonly birthNanoseconds: number;
  readonly dev: number;
  /** The host knew it by one name. */
  readonly hasOneName: boolean;
  /** From the root of the tree, a byte string. */
  readonly path: string;
  /** 0 where it was gone by then. */
  readonly mode: number;
  readonly sizeBytes: number;
  readonly modified: Timespec;
}

/** docs/format.md, "origin". */
export function encodeHostOrigin(place: HostPlace, stat: HostStat | undefined): Uint8Array {
  const { hostIno, birthSeconds, birthNanoseconds, dev, hasOneName, path } = place;
  const { seconds, nanoseconds } = stat?.mtime ?? NEVER;
  const writer = new ByteWriter(96);
  writer.varint(hostIno).i64(birthSeconds).u32(birthNanoseconds).varint(dev);
  writer.u8(hasOneName ? 1 : 0).byteString(path);
  writer
    .u32(stat?.mode ?? 0)
    .varint(stat?.size ?? 0)
    .i64(seconds)
    .u32(nanoseconds);
  return writer.take();
}

/** DecodeError. */
export function decodeHostOrigin(origin: Uint8Array): HostOrigin {
  const reader = new ByteReader(Buffer.from(origin));
  const hostOrigin = {
    hostIno: reader.varint(),
    birthSeconds: reader.i64(),
    birthNanoseconds: reader.u32(),
    dev: reader.varint(),
    hasOneName: reader.u8() !== 0,
    path: reader.byteString(),
    mode: reader.u32(),
    sizeBytes: reader.varint(),
    modified: { seconds: reader.i64(), nanoseconds: reader.u32() },
  };
  if (!reader.isAtEnd) throw new DecodeError('origin of a host file is too long');
  return hostOrigin;
}

const NEVER: Timespec = { seconds: 0, nanoseconds: 0 };
