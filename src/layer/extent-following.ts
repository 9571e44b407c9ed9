/**
 * Following dedupe: files of frozen layers may have got other blocks, with the same bytes. What an open tree has read
 * of the old rows stays right while the old blocks are there; gc gives them back once no process relies on them.
 */
import type { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';

/**
 * The files of a stack that come from frozen layers name the blocks that the tables name. False when one of them must
 * stay with the old ones: the kernel reads it from its blob, or its memory maps would have too many pieces.
 */
export function followExtents(stack: LayerStack): boolean {
  let isDone = true;
  for (const inode of stack.inodes.values()) {
    // The map of a file of the upper layer is the truth, which the tables follow.
    if (!inode.isFile || inode.isDead || inode.record.extentLayer === (stack.upper?.id ?? 0)) continue;
    if (!followOne(stack, inode)) isDone = false;
  }
  return isDone;
}

function followOne(stack: LayerStack, inode: Inode): boolean {
  const { mapping } = inode;
  if (stack.isPassedThrough?.(inode.ino) === true) {
    return mapping?.hasRuns(stack.storedRuns(inode)) === true;
  }
  if (mapping?.isMapped === true) return mapping.follow(stack.storedRuns(inode));
  inode.mapping = undefined;
  return true;
}
