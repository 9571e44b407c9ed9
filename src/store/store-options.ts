/** Options for opening a store, and the counts that it reports. */
import type { BlobSpaceCounts } from '../blob/index.ts';
import type { TreeCache } from '../layer/index.ts';
import type { System } from '../sys/index.ts';

export interface StoreOptions {
  readonly system?: System;
  /** Creates the store if there is none. */
  readonly create?: boolean;
  /** Opens a store that belongs to another user. Default: whether the environment has RAMET_TRUST_STORE=1. */
  readonly trustStore?: boolean | undefined;
  /**
   * Changes nothing in the store, and leaves no trace in it: for a read-only filesystem, and for a user who may only
   * read. `if-needed`: only if the store cannot be opened for writing. Calls that would write fail with EROFS.
   */
  readonly readOnly?: boolean | 'if-needed' | undefined;
  /** Called with a text about what the user should fix. Default: `process.emitWarning`. */
  readonly onWarning?: (message: string) => void;
  /**
   * Checks every page of the tables first, because LMDB ends the process when it meets a damaged one. Takes longer for
   * larger tables.
   */
  readonly checksTables?: boolean;
  /**
   * Milliseconds to wait for another process that has the tables locked. Then the operation fails with ETIMEDOUT. Meant
   * for a process that serves other processes, since these would have to wait too. Default: no limit.
   */
  readonly lockWaitMsMax?: number;
  /** The most layers that a tree may stand on before it is flattened in the background. Default: 16. */
  readonly chainLayersMax?: number;
  /** Milliseconds between two commit marks: a power cut may lose the changes made in this time. Default: 2,000. */
  readonly commitMarkMs?: number;
  /** The cache of what open trees have read. Default: one cache for all stores of the process. */
  readonly cache?: TreeCache;
}

export interface StoreCounts extends BlobSpaceCounts {
  /** Kernel mappings that live memory maps use now. */
  readonly mappings: number;
  /** How many such mappings there may be. */
  readonly mappingsMax: number;
  /** Blocks copied only to keep memory maps within their share of mappings. */
  readonly gatheredBlocks: number;
}
