/**
 * Privileges that a file loses when its bytes or its owner change, so that the new content cannot use them: the
 * set-user-ID and set-group-ID bits, and capabilities(7).
 */
import { S_ISGID, S_ISUID } from '../base/index.ts';
import type { Batch, DraftRecord, Inode } from '../layer/index.ts';
import { type Caller, isSuperuser } from './caller.ts';
import type { TreeContext } from './context.ts';

const CAPABILITY = 'security.capability';

/**
 * Call this with the draft for every change of a file's bytes. As on Linux, every write removes capabilities, and also
 * the set-ID bits unless a superuser without `clearsSetId` writes.
 */
export function dropPrivileges(
  context: TreeContext,
  caller: Caller,
  batch: Batch,
  inode: Inode,
  draft: DraftRecord,
): void {
  if (hasSetId(draft.mode) && (caller.clearsSetId || !isSuperuser(caller))) {
    draft.mode = withoutSetId(draft.mode);
  }
  dropCapability(context, batch, inode);
}

export function hasSetId(mode: number): boolean {
  return (mode & (S_ISUID | S_ISGID)) !== 0;
}

/** The mode without set-user-ID and set-group-ID. S_ISGID stays if the group may not execute the file. */
export function withoutSetId(mode: number): number {
  const group = (mode & 0o010) !== 0 ? S_ISGID : 0;
  return mode & ~(S_ISUID | group);
}

export function dropCapability(context: TreeContext, batch: Batch, inode: Inode): void {
  if (inode.record.xattrLayer === 0) return;
  const before = context.stack.xattrsOf(inode);
  if (!before.has(CAPABILITY)) return;
  const after = new Map(before);
  after.delete(CAPABILITY);
  batch.setXattrs(inode, after);
}
