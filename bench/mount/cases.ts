/** Requests of the benchmark of mounts to its client, and the answers. */
import type { SamplingOptions } from '../measure/sampling.ts';
import type { Sampled } from '../measure/table.ts';

/** Files of `makeCallsTree`: a directory of small ones, one file that fits into every cache, one that does not. */
export const SMALL_FILES = 1000;
export const SMALL_BYTES = 4096;
export const WITHIN_BYTES = 48 * 2 ** 20;
/** More than fits into a budget of 64 MiB. */
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
  /** The path of the contender's copy of the tree of `makeCallsTree`. */
  readonly root: string;
  /** Directories of the host whose files hold the data of the copy: dropped from memory before a cold read. */
  readonly behind: readonly string[];
  readonly sampling: SamplingOptions;
}

/** Microseconds of a call. */
export type MountCallResult = Sampled;
