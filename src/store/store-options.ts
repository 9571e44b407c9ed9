/** How a store is opened, and what it counts. */
import type { BlobSpaceCounts } from '../blob/index.ts';
import type { TreeCache } from '../layer/index.ts';
import type { System } from '../sys/index.ts';

export interface StoreOptions {
  readonly system?: System;
  /** Make the store where there is none. */
  readonly create?: boolean;
  /** Opens a store that belongs to another user. Default: whether the environment has RAMET_TRUST_STORE=1. */
  readonly trustStore?: boolean | undefined;
  /** Told what the user should mend. Default: a warning of the process. */
  readonly onWarning?: (message: string) => void;
  /**
   * Check every page of the tables first, because LMDB ends the process when it meets a damaged one. Takes longer the
   * larger they are.
   */
  readonly checksTables?: boolean;
  /**
   * How long to wait for another process that has the tables locked; then the operation fails with ETIMEDOUT. For a
   * process that serves others, which would have to wait too. Default: without limit.
   */
  readonly lockWaitMsMax?: number;
  /** Layers under a tree before they are flattened in the background. Default: 16. */
  readonly chainLayersMax?: number;
  /** Milliseconds between two commit marks: what a power cut may lose. Default: 2,000. */
  readonly commitMarkMs?: number;
  /** What open trees keep in memory of what they have read. Default: one for all stores of the process. */
  readonly cache?: TreeCache;
}

export interface StoreCounts extends BlobSpaceCounts {
  /** Kernel mappings of live memory maps, and how many there may be. */
  readonly mappings: number;
  readonly mappingsMax: number;
  /** Blocks copied only to keep memory maps within their share of mappings. */
  readonly gatheredBlocks: number;
}
