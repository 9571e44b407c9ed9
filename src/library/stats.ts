/**
 * `Stats`, `BigIntStats` and `StatFs` in Node's shapes. The numbers are own properties; a date is made when it is first
 * read, as in Node from version 22 on. The objects are also instances of Node's own `fs.Stats`.
 */
import { Stats as HostStats } from 'node:fs';
import { kindOfMode } from '../base/index.ts';
import type { Attributes, SpaceCounts } from '../vfs/index.ts';
import { fileKindOver, KIND } from './file-kind.ts';

/** The properties of `Stats` and, as bigints, of `BigIntStats`. */
abstract class StatsOf<T extends number | bigint> extends fileKindOver(HostStats) {
  declare dev: T;
  declare mode: T;
  declare nlink: T;
  declare uid: T;
  declare gid: T;
  declare rdev: T;
  declare blksize: T;
  declare ino: T;
  declare size: T;
  declare blocks: T;
  declare atimeMs: T;
  declare mtimeMs: T;
  declare ctimeMs: T;
  declare birthtimeMs: T;
  declare atime: Date;
  declare mtime: Date;
  declare ctime: Date;
  declare birthtime: Date;

  get [KIND](): number {
    return kindOfMode(Number(this.mode));
  }
}

/** fs.Stats: the fields of stat(2), with times in milliseconds. */
export class Stats extends StatsOf<number> {
  constructor(attributes: Attributes) {
    super();
    this.dev = attributes.dev;
    this.mode = attributes.mode;
    this.nlink = attributes.nlink;
    this.uid = attributes.uid;
    this.gid = attributes.gid;
    this.rdev = attributes.rdev;
    this.blksize = attributes.blksize;
    this.ino = attributes.ino;
    this.size = attributes.size;
    this.blocks = attributes.blocks;
    this.atimeMs = attributes.atimeSeconds * 1e3 + attributes.atimeNanoseconds / 1e6;
    this.mtimeMs = attributes.mtimeSeconds * 1e3 + attributes.mtimeNanoseconds / 1e6;
    this.ctimeMs = attributes.ctimeSeconds * 1e3 + attributes.ctimeNanoseconds / 1e6;
    this.birthtimeMs = attributes.birthSeconds * 1e3 + attributes.birthNanoseconds / 1e6;
  }
}

function nanoseconds(seconds: number, rest: number): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}

/** fs.BigIntStats: the same as bigints, and times in nanoseconds as well. */
export class BigIntStats extends StatsOf<bigint> {
  declare atimeNs: bigint;
  declare mtimeNs: bigint;
  declare ctimeNs: bigint;
  declare birthtimeNs: bigint;

  constructor(attributes: Attributes) {
    super();
    this.dev = BigInt(attributes.dev);
    this.mode = BigInt(attributes.mode);
    this.nlink = BigInt(attributes.nlink);
    this.uid = BigInt(attributes.uid);
    this.gid = BigInt(attributes.gid);
    this.rdev = BigInt(attributes.rdev);
    this.blksize = BigInt(attributes.blksize);
    this.ino = BigInt(attributes.ino);
    this.size = BigInt(attributes.size);
    this.blocks = BigInt(attributes.blocks);
    const atimeNs = nanoseconds(attributes.atimeSeconds, attributes.atimeNanoseconds);
    const mtimeNs = nanoseconds(attributes.mtimeSeconds, attributes.mtimeNanoseconds);
    const ctimeNs = nanoseconds(attributes.ctimeSeconds, attributes.ctimeNanoseconds);
    const birthtimeNs = nanoseconds(attributes.birthSeconds, attributes.birthNanoseconds);
    this.atimeMs = atimeNs / 1_000_000n;
    this.mtimeMs = mtimeNs / 1_000_000n;
    this.ctimeMs = ctimeNs / 1_000_000n;
    this.birthtimeMs = birthtimeNs / 1_000_000n;
    this.atimeNs = atimeNs;
    this.mtimeNs = mtimeNs;
    this.ctimeNs = ctimeNs;
    this.birthtimeNs = birthtimeNs;
  }
}

/** Defines a date such as `atime` as a getter that becomes an own property when it is first read or written. */
function defineLazyDate(name: string): void {
  const settle = (holder: object, value: unknown): void => {
    Object.defineProperty(holder, name, { value, writable: true, enumerable: true, configurable: true });
  };
  Object.defineProperty(StatsOf.prototype, name, {
    enumerable: true,
    configurable: true,
    get(this: object): Date {
      // Date would cut the fraction off, so round it first.
      const date = new Date(Math.round(Number(Reflect.get(this, `${name}Ms`))));
      settle(this, date);
      return date;
    },
    set(this: object, value: unknown) {
      settle(this, value);
    },
  });
}

for (const time of ['atime', 'mtime', 'ctime', 'birthtime']) defineLazyDate(time);

/** fs.StatFs. */
export class StatFs<T extends number | bigint> {
  readonly type: T;
  readonly bsize: T;
  readonly frsize: T;
  readonly blocks: T;
  readonly bfree: T;
  readonly bavail: T;
  readonly files: T;
  readonly ffree: T;

  constructor(counts: SpaceCounts, as: (value: number) => T) {
    this.type = as(counts.type);
    this.bsize = as(counts.bsize);
    this.frsize = as(counts.bsize);
    this.blocks = as(counts.blocks);
    this.bfree = as(counts.bfree);
    this.bavail = as(counts.bavail);
    this.files = as(counts.files);
    this.ffree = as(counts.ffree);
  }
}
