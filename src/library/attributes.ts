/** Calls about file attributes: stat, access, exists, chmod, chown, utimes, statfs, by path and by descriptor. */
import { constants } from 'node:fs';
import type { Timespec } from '../base/index.ts';
import type { Attributes, SpaceCounts, TreeFiles } from '../vfs/index.ts';
import { checkOwnerId, fileMode, smallMode } from './arguments.ts';
import { Calls } from './calls.ts';
import type { Descriptors } from './descriptors.ts';
import { failAsNode, failureOf, invalidArgumentType, pathText, systemFailure } from './errors.ts';
import { bytePath } from './paths.ts';
import { BigIntStats, StatFs, Stats } from './stats.ts';

const { F_OK } = constants;

interface StatOptions {
  readonly bigint?: boolean;
  readonly throwIfNoEntry?: boolean;
}

/** Number of seconds from which on a double resolves microseconds, but not nanoseconds. */
const NANOSECOND_EXACT_SECONDS = 2 ** 22;

/** Converts a time given as Date, seconds, or seconds in text. A number below zero means now, as in Node. */
export function timeArgument(time: unknown, name: string, syscall: string, path?: unknown): Timespec {
  let seconds: number;
  // Node tests a text by `+time == time`, so any text that reads as a number counts, even an empty one.
  if (typeof time === 'string' && !Number.isNaN(Number(time))) seconds = Number(time);
  else if (typeof time === 'number' && Number.isFinite(time)) {
    seconds = time < 0 ? Date.now() / 1000 : time;
  } else if (time instanceof Date) {
    const milliseconds = time.getTime();
    if (Number.isNaN(milliseconds))
      throw systemFailure('EINVAL', syscall, path === undefined ? undefined : pathText(path));
    const whole = Math.floor(milliseconds / 1000);
    return { seconds: whole, nanoseconds: (milliseconds - whole * 1000) * 1e6 };
  } else throw invalidArgumentType(name, ['Date', 'Time in seconds'], time);
  const whole = Math.floor(seconds);
  const unit = Math.abs(whole) < NANOSECOND_EXACT_SECONDS ? 1 : 1000;
  const nanoseconds = Math.round(((seconds - whole) * 1e9) / unit) * unit;
  return nanoseconds >= 1e9 ? { seconds: whole + 1, nanoseconds: 0 } : { seconds: whole, nanoseconds };
}

export class AttributeCalls extends Calls {
  private readonly countSpace: () => SpaceCounts;

  constructor(fileSystem: TreeFiles, descriptors: Descriptors, countSpace: () => SpaceCounts) {
    super(fileSystem, descriptors);
    this.countSpace = countSpace;
  }

  /** With `throwIfNoEntry: false`, returns undefined if nothing is there (ENOENT, ENOTDIR). */
  statSync(path: unknown, options?: StatOptions): Stats | BigIntStats | undefined {
    return this.statPath(path, options, true, 'stat');
  }

  lstatSync(path: unknown, options?: StatOptions): Stats | BigIntStats | undefined {
    return this.statPath(path, options, false, 'lstat');
  }

  private statPath(
    path: unknown,
    options: StatOptions | undefined,
    follow: boolean,
    syscall: string,
  ): Stats | BigIntStats | undefined {
    const bytes = bytePath(path);
    let attributes: Attributes | undefined;
    try {
      if (options === undefined) return new Stats(this.fileSystem.stat(bytes, follow));
      attributes =
        options.throwIfNoEntry === false
          ? this.fileSystem.tryStat(bytes, follow)
          : this.fileSystem.stat(bytes, follow);
    } catch (error) {
      throw failureOf(error, syscall, path);
    }
    if (attributes === undefined) return undefined;
    return options.bigint ? new BigIntStats(attributes) : new Stats(attributes);
  }

  fstatSync(fd: unknown, options?: StatOptions): Stats | BigIntStats {
    const file = this.descriptors.get(fd, 'fstat');
    try {
      const attributes = this.fileSystem.statFile(file);
      return options?.bigint ? new BigIntStats(attributes) : new Stats(attributes);
    } catch (error) {
      throw failureOf(error, 'fstat');
    }
  }

  accessSync(path: unknown, mode?: unknown): void {
    const bytes = bytePath(path);
    const wanted = smallMode(mode);
    try {
      if (wanted === F_OK) this.fileSystem.stat(bytes, true);
      else this.fileSystem.access(bytes, wanted);
    } catch (error) {
      throw failureOf(error, 'access', path);
    }
  }

  /** Never throws: false even for a value that cannot be a path. */
  existsSync(path: unknown): boolean {
    try {
      return this.fileSystem.tryStat(bytePath(path), true) !== undefined;
    } catch {
      return false;
    }
  }

  statfsSync(path: unknown, options?: StatOptions): StatFs<number> | StatFs<bigint> {
    const bytes = bytePath(path);
    this.fileSystem.stat(bytes, true);
    const counts = this.countSpace();
    return options?.bigint ? new StatFs(counts, BigInt) : new StatFs(counts, Number);
  }

  chmodSync(path: unknown, mode: unknown): void {
    this.fileSystem.chmod(bytePath(path), fileMode(mode, 'mode'), true);
  }

  fchmodSync(fd: unknown, mode: unknown): void {
    const bits = fileMode(mode, 'mode');
    const file = this.descriptors.get(fd, 'fchmod');
    this.fileSystem.chmodFile(file, bits);
  }

  chownSync(path: unknown, uid: unknown, gid: unknown): void {
    this.changeOwner(path, uid, gid, true);
  }

  lchownSync(path: unknown, uid: unknown, gid: unknown): void {
    this.changeOwner(path, uid, gid, false);
  }

  private changeOwner(path: unknown, uid: unknown, gid: unknown, follow: boolean): void {
    const bytes = bytePath(path);
    checkOwnerId(uid, 'uid');
    checkOwnerId(gid, 'gid');
    this.fileSystem.chown(bytes, uid, gid, follow);
  }

  fchownSync(fd: unknown, uid: unknown, gid: unknown): void {
    checkOwnerId(uid, 'uid');
    checkOwnerId(gid, 'gid');
    this.fileSystem.chownFile(this.descriptors.get(fd, 'fchown'), uid, gid);
  }

  utimesSync(path: unknown, atime: unknown, mtime: unknown): void {
    this.changeTimes(path, atime, mtime, true, 'utime');
  }

  lutimesSync(path: unknown, atime: unknown, mtime: unknown): void {
    this.changeTimes(path, atime, mtime, false, 'lutime');
  }

  private changeTimes(path: unknown, atime: unknown, mtime: unknown, follow: boolean, syscall: string): void {
    const bytes = bytePath(path);
    const accessed = timeArgument(atime, 'time', syscall, path);
    const modified = timeArgument(mtime, 'time', syscall, path);
    this.fileSystem.setTimes(bytes, accessed, modified, follow);
  }

  futimesSync(fd: unknown, atime: unknown, mtime: unknown): void {
    const accessed = timeArgument(atime, 'atime', 'futime');
    const modified = timeArgument(mtime, 'mtime', 'futime');
    const file = this.descriptors.get(fd, 'futime');
    this.fileSystem.setFileTimes(file, accessed, modified);
  }
}

failAsNode(AttributeCalls.prototype, {
  statfsSync: ['statfs', 1],
  chmodSync: ['chmod', 1],
  fchmodSync: ['fchmod'],
  chownSync: ['chown', 1],
  lchownSync: ['lchown', 1],
  fchownSync: ['fchown'],
  utimesSync: ['utime', 1],
  lutimesSync: ['lutime', 1],
  futimesSync: ['futime'],
});
