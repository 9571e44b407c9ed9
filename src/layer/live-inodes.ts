/** Inodes of a live layer may change at any time, so they are read from the layer again before they are used. */
import { FsError, isFsError } from '../base/index.ts';
import { type DerivedLower, isDerived, isWrittenSince, recordNow, written } from '../lower/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { Inode } from './inode.ts';

/**
 * Brings the inode up to date. ESTALE when the live layer no longer has the inode. If a layer above has recorded the
 * inode's attributes but not its bytes, the recorded attributes stay, except size and times of writing, which follow
 * the bytes.
 */
export function refresh(live: DerivedLower, inode: Inode): void {
  if (inode.isUnrecorded) refreshAll(live, inode);
  else if (inode.isFile && inode.record.extentLayer === live.id) refreshBytes(live, inode);
  else if (inode.isDirectory) refreshTimes(live, inode);
}

/** True if an inode's record, bytes or names come from a live layer. */
export function mayChange(live: DerivedLower | undefined, inode: Inode): boolean {
  if (live === undefined || !isDerived(inode.ino)) return false;
  return inode.isUnrecorded || inode.isDirectory || inode.record.extentLayer === live.id;
}

/**
 * Gives a recorded directory the host's times of writing if these are later: its names change on the host as well as in
 * the fork.
 */
function refreshTimes(live: DerivedLower, inode: Inode): void {
  let record: InodeRecord | undefined;
  try {
    record = live.inode(inode.ino);
  } catch (error) {
    // The fork's own record stays valid, whatever happens on the host.
    if (!isFsError(error)) throw error;
  }
  if (record === undefined || !isWrittenSince(record.mtimeSeconds, record.mtimeNanoseconds, inode.record))
    return;
  inode.record = { ...inode.record, ...written(record.mtimeSeconds, record.mtimeNanoseconds) };
}

function refreshAll(live: DerivedLower, inode: Inode): void {
  const record = live.inode(inode.ino);
  if (record === undefined)
    throw new FsError('ESTALE', { note: `the host has no inode ${inode.ino} any more` });
  const old = inode.record;
  const isSame =
    record.ctimeNanoseconds === old.ctimeNanoseconds &&
    record.ctimeSeconds === old.ctimeSeconds &&
    record.mtimeNanoseconds === old.mtimeNanoseconds &&
    record.mtimeSeconds === old.mtimeSeconds &&
    record.size === old.size &&
    record.blocks === old.blocks;
  // Keep the old record: it may have an access time that only this process knows.
  if (isSame) return;
  inode.record = record;
  inode.xattrs = undefined;
  inode.mapping = undefined;
}

function refreshBytes(live: DerivedLower, inode: Inode): void {
  const file = live.hostFile(inode.ino);
  const record = file === undefined ? inode.record : recordNow(inode.record, file, inode.openCount > 0);
  if (record === inode.record) return;
  inode.record = record;
  inode.mapping = undefined;
}
