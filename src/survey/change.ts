/** One difference between two trees. */
import { DT_DIR } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { ChangedPart } from './inode-comparison.ts';

export interface Change {
  /** Absolute path in the second tree; for a removal, in the first. A byte string. */
  readonly path: string;
  /**
   * The path in the first tree, if that differs: for a renamed inode, or a modified inode in a renamed directory.
   */
  readonly from: string | undefined;
  readonly kind: 'added' | 'removed' | 'modified' | 'renamed';
  /** A DT_* value. */
  readonly type: number;
  /** Which parts of the inode were modified. */
  readonly parts: readonly ChangedPart[];
  /** Size in bytes before and after; undefined where the file does not exist, and for directories. */
  readonly sizeBefore: number | undefined;
  readonly sizeAfter: number | undefined;
}

/**
 * Makes a `Change`. `before` and `after` are the inode's records in the two trees; a tree without the inode has none.
 */
export function change(
  kind: Change['kind'],
  path: string,
  type: number,
  { before, after }: { before?: InodeRecord | undefined; after?: InodeRecord | undefined },
  more: { readonly from?: string; readonly parts?: readonly ChangedPart[] } = {},
): Change {
  const isSized = type !== DT_DIR;
  return {
    path,
    from: more.from === path ? undefined : more.from,
    kind,
    type,
    parts: more.parts ?? [],
    sizeBefore: isSized ? before?.size : undefined,
    sizeAfter: isSized ? after?.size : undefined,
  };
}

/**
 * Sorts changes in the order of a walk: names in byte order, a directory before its content, a removal before an
 * addition.
 */
export function inWalkOrder(changes: Change[]): Change[] {
  const keyOf = ({ path, kind }: Change): string =>
    `${path.replaceAll('/', '\0')}${kind === 'removed' ? '' : '\0'}`;
  return changes
    .map((item) => [keyOf(item), item] as const)
    .sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
    .map(([, item]) => item);
}
