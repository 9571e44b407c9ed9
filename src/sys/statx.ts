/** struct statx of statx(2), read into one buffer that is used again. Offsets are in 32-bit words. */
import type { FileTimes, HostStat } from './system.ts';
import { int64, uint64 } from './words.ts';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const STATX_SIZE = 0x200;
export const STATX_BLOCKS = 0x400;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
/** In stx_attributes, where stx_attributes_mask has it too. */
const STATX_ATTR_MOUNT_ROOT = 0x2000;

const WORDS = 256 / 4;
const SECTOR_BYTES = 512;

export class StatxBuffer {
  readonly words = new Uint32Array(WORDS);

  get sizeBytes(): number {
    return uint64(this.words, 10);
  }

  get allocatedBytes(): number {
    return uint64(this.words, 12) * SECTOR_BYTES;
  }

  toHostStat(): HostStat {
    const words = this.words;
    return {
      mode: words[7]! & 0xffff,
      uid: words[5]!,
      gid: words[6]!,
      nlink: words[4]!,
      size: this.sizeBytes,
      blocks: uint64(words, 12),
      ino: uint64(words, 8),
      dev: deviceNumber(words[34]!, words[35]!),
      rdev: deviceNumber(words[32]!, words[33]!),
      atime: this.timesAt(16),
      mtime: this.timesAt(28),
      ctime: this.timesAt(24),
      btime: (words[0]! & STATX_BTIME) === 0 ? undefined : this.timesAt(20),
      isMountPoint: (words[2]! & words[14]! & STATX_ATTR_MOUNT_ROOT) !== 0,
    };
  }

  /** struct statx_timestamp: 64 bits of seconds, 32 of nanoseconds. */
  private timesAt(index: number): FileTimes {
    return { seconds: int64(this.words, index), nanoseconds: this.words[index + 2]! };
  }
}

/** makedev(3) of glibc: minor bits 0-7, major bits 0-11, minor bits 8-31, major bits 12-31. */
export function deviceNumber(major: number, minor: number): number {
  const low = (minor & 0xff) + (major & 0xfff) * 2 ** 8;
  return low + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44;
}
