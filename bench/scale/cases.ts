/** Requests of the scaling benchmark to each contender's process, and the answers. All times are of single calls. */
import type { Sampled } from '../measure/table.ts';

/** Number of files in each directory of the tree. */
export const FILES_PER_DIRECTORY = 50;
/** Number of names that are looked up, spread over the tree. */
export const LOOKUPS = 1_000;

export type FilesArgument =
  | { readonly kind: 'host'; readonly root: string; readonly files: number }
  | { readonly kind: 'ramet'; readonly storeDirectory: string; readonly files: number };

export interface FilesResult {
  /** Microseconds of a stat: the first of each name, and the second. */
  readonly firstStat: Sampled;
  readonly statAgain: Sampled;
  /** Microseconds for each name, to list a directory with as many names as the tree has files. */
  readonly firstReaddir: Sampled;
  readonly readdirAgain: Sampled;
  /** Ramet: milliseconds to open the store and to fork the tree; resident memory after the lookups. */
  readonly openMs?: Sampled;
  readonly forkMs?: Sampled;
  readonly residentMib?: Sampled;
}

export interface DepthArgument {
  /** A directory of the host (an overlay's mount), or a tree of a store. */
  readonly root?: string;
  readonly storeDirectory?: string;
  readonly tree?: string;
  readonly depth: number;
  readonly directories: number;
}

export interface DepthResult {
  /** Microseconds of the first stat of a name that only the lowest layer has. */
  readonly base: Sampled;
  /** The same for a name that a layer in the middle made. */
  readonly middle: Sampled;
  /** The same for a name that no layer has. */
  readonly missing: Sampled;
  /** The same for names of the lowest layer that were looked up before. */
  readonly again: Sampled;
  /** Microseconds of the first readdir of a directory. */
  readonly readdir: Sampled;
  readonly layers: number;
}

export interface ForksArgument {
  readonly storeDirectory: string;
  readonly forks: number;
}

export interface ForksResult {
  readonly forkMs: Sampled;
  /** KiB of JavaScript heap, and of the whole process, for each fork that is open and idle. */
  readonly idleHeapKib: Sampled;
  readonly idleResidentKib: Sampled;
  /** The same after one file was read and one written in each. */
  readonly usedHeapKib: Sampled;
  readonly usedResidentKib: Sampled;
  readonly descriptors: Sampled;
}

/** The name of file `index` of the tree. */
export function filePath(index: number): string {
  const directory = Math.floor(index / FILES_PER_DIRECTORY);
  return `/p${Math.floor(directory / 100)}/d${directory}/f${index}`;
}

/** The path of the file that layer `layer` of a chain makes as its change number `change`. */
export function layerFile(layer: number, change: number, directories: number): string {
  return `/d${(layer * 7 + change * 13) % directories}/of-${layer}-${change}`;
}
