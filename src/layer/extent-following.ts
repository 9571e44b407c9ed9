/**
 * Following dedupe: files of frozen layers may have got other blocks, with the same bytes. What an open tree has read
 * of the old rows stays right while the old blocks are there; gc gives them back once no process relies on them.
 */
import type { LayerStack } from './layer-stack.ts';

/**
 * The files of a stack that come from frozen layers name the blocks that the tables name. False when one of them must
 * stay with the old ones: its memory maps would have too many pieces.
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

/** Whether the kernel goes on reading a blob of which the tables may not name all any more. */
export function isHeldByKernel(stack: LayerStack): boolean {
  for (const [ino, passed] of stack.keeper.passedThrough()) {
    const inode = stack.inodes.get(ino) ?? stack.inode(ino);
    const [run, ...others] = stack.storedRuns(inode);
    if (run?.blob !== passed || run.physical !== 0 || others.length > 0) return true;
  }
  return false;
}
