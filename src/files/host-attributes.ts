/** What the host says of a file, as trees say it. */
import { BLOCK_SIZE, type Timespec } from '../base/index.ts';
import { type HostStat, UTIME_NOW, UTIME_OMIT } from '../sys/index.ts';
import type { Attributes, TimeChange } from '../vfs/index.ts';

export function attributesOf(stat: HostStat): Attributes {
  const { dev, ino, mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, btime = ctime } = stat;
  return {
    dev,
    // Rounded where the host numbers its files beyond 2^53; those of a store's trees are below.
    ino: Number(ino),
    mode,
    nlink,
    uid,
    gid,
    rdev,
    size,
    blksize: BLOCK_SIZE,
    blocks,
    atimeSeconds: atime.seconds,
    atimeNanoseconds: atime.nanoseconds,
    mtimeSeconds: mtime.seconds,
    mtimeNanoseconds: mtime.nanoseconds,
    ctimeSeconds: ctime.seconds,
    ctimeNanoseconds: ctime.nanoseconds,
    birthSeconds: btime.seconds,
    birthNanoseconds: btime.nanoseconds,
  };
}

export function timeOf(change: TimeChange): Timespec {
  if (change === 'now') return UTIME_NOW;
  return change === 'omit' ? UTIME_OMIT : change;
}
