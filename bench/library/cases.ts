/** The calls that the library benchmark measures, and its requests to each contender's process. */
import type { SamplingOptions } from '../measure/sampling.ts';
import type { Cell } from '../measure/table.ts';

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
export type LibraryResult = Readonly<Record<LibraryCase, Cell>>;

export type LibraryContender =
  | { readonly kind: 'host' }
  | { readonly kind: 'memfs' }
  | { readonly kind: 'ramet'; readonly storeDirectory: string; readonly fork: string }
  /** Peers that are installed in the directory `packages`. */
  | { readonly kind: 'zenfs memory' | 'zenfs copy-on-write' | 'just-bash'; readonly packages: string };

export interface LibraryArgument {
  readonly contender: LibraryContender;
  /** The tree on the host. */
  readonly root: string;
  readonly sampling: SamplingOptions;
}
