/** Making a fork over several lowers: what each of them is, before and inside the transaction that makes the fork. */
import { HostLayer } from '../lower/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import { frozenTopOf } from './frozen-top.ts';
import { hostSource, isHostPath } from './host-source.ts';
import type { TreeInfo } from './tree.ts';
import type { TreeRows } from './tree-rows.ts';
import { LOWERS_SEPARATOR, requireLowers } from './union-rows.ts';

/** The parts of a store that are needed here. */
export interface UnionParts {
  readonly system: System;
  readonly tables: MetaTables;
  readonly rows: TreeRows;
  /** ENOENT when there is no such tree. */
  find(lower: string): TreeInfo;
  /** Freezes a tree where it is a fork. EBUSY. */
  freeze(lower: string): void;
}

/** Finds and freezes the lowers; what is returned belongs inside the transaction, where it inserts the fork. */
export function prepareUnion(
  { system, tables, rows, find, freeze }: UnionParts,
  lowers: readonly string[],
  name: string,
  isPinned: boolean,
): () => void {
  requireLowers(lowers, name);
  const found = lowers.map((lower) =>
    isHostPath(lower) ? hostSource(system, lower, isPinned) : find(lower),
  );
  for (const lower of found) if ('kind' in lower) freeze(lower.name);
  return () => {
    const tops = found.map((lower) =>
      'kind' in lower ? frozenTopOf(tables, lower, 'fork') : rows.hostLayer(lower, HostLayer.rootOf(lower)),
    );
    rows.insertUnionFork(name, tops, lowers.join(LOWERS_SEPARATOR));
  };
}
