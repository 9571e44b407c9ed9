/** What gc, dedupe and fsck need of the engine: it runs them, so they must not import it. */
import type { BlobSpace } from '../blob/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { System } from '../sys/index.ts';
import type { StoreLayout } from './layout.ts';
import type { Sealer } from './sealer.ts';
import type { Tree, TreeInfo } from './tree.ts';

/** A `StoreEngine`, as those see it that it calls. */
export interface OpenStore {
  readonly directory: string;
  readonly layout: StoreLayout;
  readonly system: System;
  readonly tables: MetaTables;
  readonly blobs: BlobSpace;
  readonly sealer: Sealer;
  readonly openTrees: readonly Tree[];
  openTreeOf(name: string): Tree | undefined;
  openTree(name: string, isPatient?: boolean): Tree;
  list(): TreeInfo[];
  settleLease(): boolean;
  /** Freezes what an open fork has, unless that is nothing, and puts a fresh layer over it. */
  freeze(tree: Tree): void;
  /** Open trees read the blocks that the tables name now. False where something has to go on with the old ones. */
  followExtents(): boolean;
}
