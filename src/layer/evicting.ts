/** How a stack makes room: it drops what it can read again, the oldest first. */
import type { StackState } from './stack-state.ts';

export function evictInodes(stack: StackState, count: number): void {
  storeLazyTimes(stack, count);
  let left = count;
  for (const [ino, inode] of stack.inodes) {
    if (left <= 0) break;
    if (ino === stack.rootIno || !inode.isEvictable || stack.lazyTimes.has(inode)) continue;
    stack.nameCount -= inode.children?.size ?? 0;
    stack.inodes.delete(ino);
    left--;
  }
}

/** Changed names wait for the checkpoint. The count is made exact on the way. */
export function evictNames(stack: StackState, count: number): void {
  let kept = 0;
  let dropped = 0;
  for (const inode of stack.inodes.values()) {
    const size = inode.children?.size ?? 0;
    if (dropped < count && size > 0 && inode.changedNames === undefined) {
      inode.children = undefined;
      inode.isComplete = false;
      inode.namesBetween = undefined;
      dropped += size;
    } else kept += size;
  }
  stack.nameCount = kept;
}

/** Has the access times of the oldest inodes stored: a tree that was only read could drop none of them otherwise. */
function storeLazyTimes(stack: StackState, count: number): void {
  dropUnrecordedTimes(stack);
  let left = count;
  let isDue = false;
  for (const inode of stack.lazyTimes) {
    if (left-- <= 0) break;
    stack.lazyTimes.delete(inode);
    if (inode.isDead) continue;
    stack.markDirty(inode);
    isDue = true;
  }
  if (isDue) stack.keeper.onCheckpointDue();
}

/** Reading records nothing about inodes that only a live layer has: their access times end with this process. */
export function dropUnrecordedTimes(stack: StackState): void {
  for (const inode of stack.lazyTimes) {
    if (inode.isUnrecorded && stack.chain.isLive(inode.ino)) stack.lazyTimes.delete(inode);
  }
}
