/** The calls that the library benchmark measures, and what it asks of each contender's process. */
import type { SamplingOptions } from './sampling.ts';
import type { Sampled } from './table.ts';

export const WIDE_DIRECTORIES = 10;
export const WIDE_ENTRIES = 1000;
export const READ_BYTES = 4096;

export type LibraryCase =
  | 'read'
  | 'readFile'
  | 'stat'
  | 'writeFile'
  | 'createUnlink'
  | 'readdir'
  | 'readdirCold';
export type LibraryResult = Readonly<Record<LibraryCase, Sampled>>;

export interface LibraryArgument {
  readonly contender: string;
  /** The tree on the host. */
  readonly root: string;
  readonly sampling: SamplingOptions;
  readonly storeDirectory?: string;
  readonly fork?: string;
}
