/** struct statx of statx(2), in one buffer that all calls reuse. Offsets are in 32-bit words. */
import { SECTOR_BYTES, type Timespec } from '../base/index.ts';
import { EINTR } from './errno.ts';
import { type Libc, loadLibc } from './libc.ts';
import type { HostStat } from './system.ts';
import { exactUint64, int64, uint64 } from './words.ts';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const STATX_SIZE = 0x200;
export const STATX_BLOCKS = 0x400;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
/** Since Linux 6.10. */
const STATX_SUBVOL = 0x8000;
/** The mask of all fields of `HostStat`. A kernel leaves bits that it does not know out of its answer. */
const STATX_HOST = STATX_BASIC_STATS | STATX_BTIME | STATX_SUBVOL;
/** Makes the kernel answer from its cache, without asking the server of a filesystem. */
export const AT_STATX_DONT_SYNC = 0x4000;
/** A bit of stx_attributes, valid only where stx_attributes_mask has it too. */
const STATX_ATTR_MOUNT_ROOT = 0x2000;

const WORDS = 256 / 4;

export class StatxBuffer {
  private readonly words = new Uint32Array(WORDS);

  /** Calls statx(2), and again while signals interrupt it. Returns 0 or the errno. */
  fill(libc: Libc, directory: number, path: Uint8Array, flags: number, mask = STATX_HOST): number {
    while (libc.statx(directory, path, flags, mask, this.words) !== 0) {
      const errno = libc.errno();
      if (errno !== EINTR) return errno;
    }
    return 0;
  }

  get sizeBytes(): number {
    return uint64(this.words, 10);
  }

  get allocatedBytes(): number {
    return uint64(this.words, 12) * SECTOR_BYTES;
  }

  /** Number of the device that the file is on, `major:minor` as in mountinfo. */
  get device(): string {
    return `${this.words[34]}:${this.words[35]}`;
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
      ino: exactUint64(words, 8),
      dev: deviceNumber(words[34]!, words[35]!),
      rdev: deviceNumber(words[32]!, words[33]!),
      atime: this.timesAt(16),
      mtime: this.timesAt(28),
      ctime: this.timesAt(24),
      btime: (words[0]! & STATX_BTIME) === 0 ? undefined : this.timesAt(20),
      isMountPoint: (words[2]! & words[14]! & STATX_ATTR_MOUNT_ROOT) !== 0,
      subvolume: (words[0]! & STATX_SUBVOL) === 0 ? undefined : uint64(words, 40),
    };
  }

  /** True if the kernel says which files are mount points (since Linux 5.8). */
  get tellsMountPoints(): boolean {
    return (this.words[14]! & STATX_ATTR_MOUNT_ROOT) !== 0;
  }

  /** struct statx_timestamp: 64 bits of seconds, 32 of nanoseconds. */
  private timesAt(index: number): Timespec {
    return { seconds: int64(this.words, index), nanoseconds: this.words[index + 2]! };
  }
}

/** makedev(3) of glibc. From the lowest bit: minor bits 0-7, major bits 0-11, minor bits 8-31, major bits 12-31. */
export function deviceNumber(major: number, minor: number): number {
  const low = (minor & 0xff) + (major & 0xfff) * 2 ** 8;
  return low + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44;
}

const found = new StatxBuffer();

/**
 * The number (`major:minor`) of the device that has the file to which a path leads; undefined if the path leads
 * nowhere, or without libc. The call asks no server of a filesystem, because this process may be that server.
 */
export function deviceOfLink(link: string): string | undefined {
  const libc = loadLibc();
  if (libc instanceof Error) return undefined;
  const errno = found.fill(libc, AT_FDCWD, Buffer.from(`${link}\0`), AT_STATX_DONT_SYNC, 0);
  return errno === 0 ? found.device : undefined;
}
