/** How a store is opened, and what it counts. */
import type { BlobSpaceCounts } from '../blob/index.ts';
import type { TreeCache } from '../layer/index.ts';
import type { System } from '../sys/index.ts';

export interface StoreOptions {
  readonly system?: System;
  /** Make the store where there is none. */
  readonly create?: boolean;
  /**
   * Look at every page of the tables first, which takes time with their size: LMDB ends the process at one that is
   * not what it should be.
   */
  readonly checksTables?: boolean;
  /**
   * How long another process is waited for that has the tables locked; what needs them then fails with ETIMEDOUT. For
   * ever where nothing is said: for a process that serves others, which are not to wait with it.
   */
  readonly lockWaitMsMax?: number;
  /** Layers under a tree before they are flattened in the background; 16 where nothing is said. */
  readonly chainLayersMax?: number;
  /** Milliseconds between two commit marks: what a power cut may take. 2,000 where nothing is said. */
  readonly commitMarkMs?: number;
  /** What open trees may keep in memory of what they have read; shared by all stores of the process by default. */
  readonly cache?: TreeCache;
}

export interface StoreCounts extends BlobSpaceCounts {
  /** Kernel mappings of live memory maps, and how many there may be. */
  readonly mappings: number;
  readonly mappingsMax: number;
  /** Blocks copied only to keep memory maps within their share of mappings. */
  readonly gatheredBlocks: number;
}
