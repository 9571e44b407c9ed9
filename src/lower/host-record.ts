/** Makes the inode record of a host file, and updates a recorded inode when the host has written to its file. */
import { type Ino, isFsError, SECTORS_PER_BLOCK } from '../base/index.ts';
import { type InodeRecord, newInodeRecord } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';
import type { HostFile } from './lower.ts';

/** Fields that `hostRecord` does not take from a stat(2); those left out become 0 or empty. */
type OtherFields = Pick<InodeRecord, 'nlink'> &
  Partial<Pick<InodeRecord, 'size' | 'blocks' | 'extentLayer' | 'xattrLayer' | 'target'>> & {
    readonly parent?: Ino | 0;
  };

export function hostRecord(stat: HostStat, others: OtherFields): InodeRecord {
  // Without a birth time the change time stands in, since the file is no younger than its last change.
  const birth = stat.btime ?? stat.ctime;
  const { mode, uid, gid } = stat;
  const record = newInodeRecord({ mode, uid, gid, nlink: others.nlink }, stat.ctime);
  record.size = others.size ?? 0;
  record.rdev = stat.rdev;
  record.extentLayer = others.extentLayer ?? 0;
  record.xattrLayer = others.xattrLayer ?? 0;
  record.blocks = others.blocks ?? 0;
  record.atimeSeconds = stat.atime.seconds;
  record.atimeNanoseconds = stat.atime.nanoseconds;
  record.mtimeSeconds = stat.mtime.seconds;
  record.mtimeNanoseconds = stat.mtime.nanoseconds;
  record.birthSeconds = birth.seconds;
  record.birthNanoseconds = birth.nanoseconds;
  record.parent = (others.parent ?? 0) as Ino; // In a record 0 means no parent.
  record.target = others.target ?? '';
  return record;
}

/**
 * Whether the host wrote, at the given mtime, after a layer above last changed the inode. If not, the recorded times
 * are valid.
 */
export function isWrittenSince(
  seconds: number,
  nanoseconds: number,
  { ctimeSeconds, ctimeNanoseconds }: InodeRecord,
): boolean {
  return seconds > ctimeSeconds || (seconds === ctimeSeconds && nanoseconds > ctimeNanoseconds);
}

/** The fields that a write(2) at this time changes. */
export function written(seconds: number, nanoseconds: number): Partial<InodeRecord> {
  return {
    mtimeSeconds: seconds,
    mtimeNanoseconds: nanoseconds,
    ctimeSeconds: seconds,
    ctimeNanoseconds: nanoseconds,
  };
}

/**
 * The record of a file whose attributes, but not bytes, are recorded in layers above, with the present size, space and
 * times of its bytes. Returns the same object if nothing changed. `isOpen`: programs have the file open.
 */
export function recordNow(record: InodeRecord, file: HostFile, isOpen = false): InodeRecord {
  let stat: HostStat;
  try {
    stat = file.stat();
  } catch (error) {
    if (!isFsError(error, 'ESTALE')) throw error;
    // The attributes are the fork's own and still valid; a read will report that the bytes are gone. Programs that have
    // the file open go on reading the old one.
    if (!isOpen) file.forget();
    return record;
  }
  const { seconds: mtimeSeconds, nanoseconds: mtimeNanoseconds } = stat.mtime;
  const isWritten = isWrittenSince(mtimeSeconds, mtimeNanoseconds, record);
  const blocks = Math.ceil(stat.blocks / SECTORS_PER_BLOCK);
  if (stat.size === record.size && !isWritten)
    return blocks === record.blocks ? record : { ...record, blocks };
  file.forget();
  const times = isWritten ? written(mtimeSeconds, mtimeNanoseconds) : {};
  return { ...record, size: stat.size, blocks, ...times };
}
