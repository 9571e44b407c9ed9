/** Directories that are too long to be read while nobody has asked for them. */
import type { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';

/** Whether listing the directory would read more than `count` names from the tables, in one layer. */
export function listsMoreThan(stack: LayerStack, { ino, isComplete }: Inode, count: number): boolean {
  if (isComplete) return false;
  const { upper, lowers } = stack;
  const { dentries } = stack.tables;
  if (upper?.stored.has(ino) && dentries.hasMoreThan(upper.id, ino, count)) return true;
  return lowers.some((layer) => layer.mayHave(ino) && dentries.hasMoreThan(layer.id, ino, count));
}
