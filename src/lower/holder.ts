/**
 * Where to find the rows that an inode's record names. It says which layer holds the inode's extents (and which its
 * extended attributes), and while that layer is in the chain, the rows are there. When flattening has put another
 * layer in its place, they are in the uppermost layer that holds such rows of the inode: the layers above the
 * one that a record names have none, or the record would name one of those.
 */
import type { Ino, LayerId } from '../base/index.ts';
import type { Lower } from './lower.ts';

/** 0 when no layer of the chain has them. `lowers` are the layers to look in, uppermost first. */
export function holderOf(
  lowers: readonly Lower[],
  ino: Ino,
  field: 'extentLayer' | 'xattrLayer',
  named: LayerId | 0,
): LayerId | 0 {
  if (named === 0 || lowers.some(({ id }) => id === named)) return named;
  for (const layer of lowers) if (layer.inode(ino)?.[field] === layer.id) return layer.id;
  return 0;
}
