/** What a recorded inode becomes when the host writes to the file that it stands for. */
import { isFsError, SECTORS_PER_BLOCK } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';
import type { HostFile } from './lower.ts';

/** Whether the host wrote after a layer above last changed the inode: until then its times are what that made them. */
export function isWrittenSince(
  seconds: number,
  nanoseconds: number,
  { ctimeSeconds, ctimeNanoseconds }: InodeRecord,
): boolean {
  return seconds > ctimeSeconds || (seconds === ctimeSeconds && nanoseconds > ctimeNanoseconds);
}

/** As write(2) leaves the times. */
export function written(seconds: number, nanoseconds: number): Partial<InodeRecord> {
  return {
    mtimeSeconds: seconds,
    mtimeNanoseconds: nanoseconds,
    ctimeSeconds: seconds,
    ctimeNanoseconds: nanoseconds,
  };
}

/** Updates a record to the present bytes of a file of which only attributes are recorded; the same object if equal. */
export function recordNow(record: InodeRecord, file: HostFile, isOpen = false): InodeRecord {
  let stat: HostStat;
  try {
    stat = file.stat();
  } catch (error) {
    if (!isFsError(error, 'ESTALE')) throw error;
    // The attributes are the fork's own and still there; a read will say that the bytes are not. A descriptor
    // of it goes on reading the old file.
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
