/**
 * What a file loses when its bytes or its owner change, so that nobody gains the rights of what it was before: the
 * set-user-ID and set-group-ID bits, and its capabilities, capabilities(7).
 */
import { S_ISGID, S_ISUID } from '../base/index.ts';
import type { Batch, DraftRecord, Inode } from '../layer/index.ts';
import { type Caller, isSuperuser } from './caller.ts';
import type { TreeContext } from './context.ts';

const CAPABILITY = 'security.capability';

/**
 * Called with the draft of every change of a file's bytes. As on Linux, every write removes capabilities, and the bits
 * stay for a superuser that does not clear them.
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

/** The mode after set-user-ID and set-group-ID were cleared; S_ISGID stays where the group may not execute. */
export function withoutSetId(mode: number): number {
  const group = (mode & 0o010) !== 0 ? S_ISGID : 0;
  return mode & ~(S_ISUID | group);
}

/** Takes the capabilities away with the batch. */
export function dropCapability(context: TreeContext, batch: Batch, inode: Inode): void {
  if (inode.record.xattrLayer === 0) return;
  const before = context.stack.xattrsOf(inode);
  if (!before.has(CAPABILITY)) return;
  const after = new Map(before);
  after.delete(CAPABILITY);
  batch.setXattrs(inode, after);
}
