/** The objects that all parts of a store share. */
import type { BlobSpace } from '../blob/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import type { StoreLayout } from './layout.ts';
import type { PrivateCopy } from './private-copy.ts';
import type { TreeRows } from './tree-rows.ts';

export interface StoreParts {
  readonly system: System;
  readonly layout: StoreLayout;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  /** The private copy of a process that changes nothing in the store; undefined in other processes. */
  readonly privateCopy: PrivateCopy | undefined;
  readonly rows: TreeRows;
}
