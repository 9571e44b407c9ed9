/** Options of the library's calls. */
import type { CacheLimits } from '../layer/index.ts';
import type { ImportOptions, ImportReport } from '../transfer/index.ts';
import type { DedupeOptions } from '../upkeep/index.ts';

export interface OpenOptions {
  /** Makes the store where there is none. Default: true. */
  readonly create?: boolean;
  /**
   * How much this store's open trees may keep in memory of what they read. By default all stores of the process
   * share 131,072 inodes and 1,048,576 names.
   */
  readonly cache?: CacheLimits;
}

export interface StoreImportOptions extends ImportOptions {
  /** Called once the import is done, with what it did and what did not come over as it was. */
  readonly onReport?: (report: ImportReport) => void;
}

/** Which trees, how much memory and time, whom to notify, and a signal that ends the run early. */
export type StoreDedupeOptions = Omit<DedupeOptions, 'frozenElsewhere'>;

export interface ForkOptions {
  readonly name: string;
  /**
   * What the fork stands on, uppermost first: trees by name, directories of the host by a path with a slash in it
   * (`./repo`). Several are merged as docs/unions.md says; `[]` makes an empty tree. A directory is not read
   * in advance, and never written; docs/host-trees.md says what the fork shows where the directory changes later.
   */
  readonly lowers: readonly string[];
  /** For a fork of a directory: a file's first change takes over its bytes, so the host file may change afterwards. */
  readonly pin?: boolean;
}

export interface MapFileOptions {
  /** Reads and verifies every block first: EIO instead of damaged bytes. */
  readonly verify?: boolean;
  /** Address space to reserve, in bytes, for a file that will grow while it is mapped. */
  readonly reserveBytes?: number;
}
