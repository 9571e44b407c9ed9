/** What the benchmark of mounts asks of its client, and gets. */
import type { SamplingOptions } from '../measure/sampling.ts';
import type { Sampled } from '../measure/table.ts';

/** The files of `makeCallsTree`: a directory of small ones, one that fits into every cache, and one that does not. */
export const SMALL_FILES = 1000;
export const SMALL_BYTES = 4096;
export const WITHIN_BYTES = 48 * 2 ** 20;
/** Large for a budget of 64 MiB. */
export const BEYOND_BYTES = 256 * 2 ** 20;

export type MountCall =
  | 'sequential-read'
  | 'sequential-read-beyond'
  | 'sequential-read-cold'
  | 'random-read'
  | 'map'
  | 'open-read-close'
  | 'open-read-close-cold'
  | 'stat'
  | 'stat-missing'
  | 'readdir'
  | 'create-write-unlink'
  | 'sequential-write'
  | 'random-write'
  | 'write-fsync';

export interface MountCallArgument {
  readonly call: MountCall;
  /** Where the tree of `makeCallsTree` is seen. */
  readonly root: string;
  /** Directories of the host whose files hold what is in it: dropped from memory before a cold read. */
  readonly behind: readonly string[];
  readonly sampling: SamplingOptions;
}

/** Microseconds of a call. */
export type MountCallResult = Sampled;
