/** The inode record of a file of the host: what stat(2) says of it, as Ramet keeps it. */
import type { Ino, LayerId } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';

/** What the record has beside its stat. */
export interface HostRecordParts {
  readonly nlink: number;
  readonly sizeBytes?: number;
  readonly blocks?: number;
  readonly extentLayer?: LayerId | 0;
  readonly xattrLayer?: LayerId | 0;
  readonly parent?: Ino | 0;
  readonly target?: string;
}

export function hostRecord(stat: HostStat, parts: HostRecordParts): InodeRecord {
  // Where the host keeps no birth time the change time stands in: the file cannot be younger than its last change.
  const birth = stat.btime ?? stat.ctime;
  return {
    mode: stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    nlink: parts.nlink,
    size: parts.sizeBytes ?? 0,
    rdev: stat.rdev,
    extentLayer: parts.extentLayer ?? 0,
    xattrLayer: parts.xattrLayer ?? 0,
    blocks: parts.blocks ?? 0,
    atimeSeconds: stat.atime.seconds,
    atimeNanoseconds: stat.atime.nanoseconds,
    mtimeSeconds: stat.mtime.seconds,
    mtimeNanoseconds: stat.mtime.nanoseconds,
    ctimeSeconds: stat.ctime.seconds,
    ctimeNanoseconds: stat.ctime.nanoseconds,
    birthSeconds: birth.seconds,
    birthNanoseconds: birth.nanoseconds,
    parent: (parts.parent ?? 0) as Ino, // 0 is the record's own word for "no parent".
    target: parts.target ?? '',
  };
}
