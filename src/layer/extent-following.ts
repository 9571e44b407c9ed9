/**
 * Following dedupe, which gives files of frozen layers other blocks with the same bytes. What an open tree has read of
 * the old rows stays right while the old blocks exist. Gc frees these once no process relies on them.
 */
import type { LayerStack } from './layer-stack.ts';

/**
 * Makes the files of a stack that come from frozen layers name the blocks that the tables name. False when a file must
 * keep the old blocks, because its memory maps would have too many pieces.
 */
export function followExtents(stack: LayerStack): boolean {
  let isDone = true;
  for (const inode of stack.inodes.values()) {
    // The map of a file of the upper layer is the truth, which the tables follow.
    if (!inode.isFile || inode.isDead || inode.record.extentLayer === (stack.upper?.id ?? 0)) continue;
    const { mapping } = inode;
    if (mapping?.isMapped !== true) inode.mapping = undefined;
    else if (!mapping.follow(stack.storedRuns(inode))) isDone = false;
  }
  return isDone;
}

/** Whether the kernel reads a blob directly that the tables may not name as a whole any more. */
export function isHeldByKernel(stack: LayerStack): boolean {
  for (const [ino, passed] of stack.keeper.passedThrough()) {
    const inode = stack.inodes.get(ino) ?? stack.inode(ino);
    const [run, ...others] = stack.storedRuns(inode);
    if (run?.blob !== passed || run.physical !== 0 || others.length > 0) return true;
  }
  return false;
}
