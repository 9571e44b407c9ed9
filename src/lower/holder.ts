/**
 * Where the rows that an inode's record names lie. A record says which layer holds the inode's extents (and which its
 * extended attributes), and while that layer is in the chain, that is where they are. When flattening has put another
 * layer in its place, the rows are in the uppermost layer that holds such rows of the inode: what lies above the
 * layer that a record names has none of its own, or the record would name that.
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
