/** One difference between two trees, as diffs tell it. */
import { DT_DIR } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { ChangedPart } from './inode-comparison.ts';

export interface Change {
  /** Absolute, a byte string: in the second tree, of what was removed in the first. */
  readonly path: string;
  /**
   * Path in the first tree, where it differs: of what was renamed, and of what was modified in a directory that
   * was renamed.
   */
  readonly from: string | undefined;
  readonly kind: 'added' | 'removed' | 'modified' | 'renamed';
  /** The DT_* value of what was added, removed, modified or renamed. */
  readonly type: number;
  /** What differs, of what was modified, or renamed and modified. */
  readonly parts: readonly ChangedPart[];
  /** Bytes before and after; undefined where it does not exist, and of directories. */
  readonly sizeBefore: number | undefined;
  readonly sizeAfter: number | undefined;
}

/** The inode's records on the side or sides where it is. */
export interface ChangeSides {
  readonly before?: InodeRecord | undefined;
  readonly after?: InodeRecord | undefined;
}

export function change(
  kind: Change['kind'],
  path: string,
  type: number,
  { before, after }: ChangeSides,
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

/** The order of a walk: names in byte order, a directory before what is in it; what was removed before what came. */
export function inWalkOrder(changes: Change[]): Change[] {
  const keyOf = ({ path, kind }: Change): string =>
    `${path.replaceAll('/', '\0')}${kind === 'removed' ? '' : '\0'}`;
  return changes
    .map((item) => [keyOf(item), item] as const)
    .sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
    .map(([, item]) => item);
}
