/** The inode record of a file of the host: what stat(2) says of it, as Ramet keeps it. */
import type { Ino, LayerId } from '../base/index.ts';
import { type InodeRecord, newInodeRecord } from '../meta/index.ts';
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
  const { mode, uid, gid } = stat;
  const record = newInodeRecord({ mode, uid, gid, nlink: parts.nlink }, stat.ctime);
  record.size = parts.sizeBytes ?? 0;
  record.rdev = stat.rdev;
  record.extentLayer = parts.extentLayer ?? 0;
  record.xattrLayer = parts.xattrLayer ?? 0;
  record.blocks = parts.blocks ?? 0;
  record.atimeSeconds = stat.atime.seconds;
  record.atimeNanoseconds = stat.atime.nanoseconds;
  record.mtimeSeconds = stat.mtime.seconds;
  record.mtimeNanoseconds = stat.mtime.nanoseconds;
  record.birthSeconds = birth.seconds;
  record.birthNanoseconds = birth.nanoseconds;
  record.parent = (parts.parent ?? 0) as Ino; // 0 is the record's own word for "no parent".
  record.target = parts.target ?? '';
  return record;
}
