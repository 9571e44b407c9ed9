/**
 * Options of the library's calls, and checks of its arguments with Node's codes and texts: ERR_INVALID_ARG_TYPE,
 * ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE. A wrong argument fails before anything is done. Unknown options are
 * ignored, as in Node.
 */
import type { CacheLimits } from '../layer/index.ts';
import type { ImportOptions, ImportReport } from '../transfer/index.ts';
import type { DedupeOptions } from '../upkeep/index.ts';
import { checkBoolean, checkFunction, checkInteger, checkObject, checkSignal } from './arguments.ts';
import { invalidArgumentType, invalidArgumentValue } from './errors.ts';

type Check = (value: unknown, name: string) => void;
/** The check of each option, by its name. */
type Checks = Readonly<Record<string, Check>>;

/** Throws unless `value` is a string. The store checks whether a string can be the name of a tree. */
export function checkString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidArgumentType(name, 'string', value);
}

/** A path on the host. An empty path is refused, since it would stand for the working directory. */
export function checkHostPath(value: unknown, name: string): asserts value is string {
  checkString(value, name);
  if (value === '' || value.includes('\0'))
    throw invalidArgumentValue(name, value, 'must be a path, not empty and without null bytes');
}

export function checkArray(value: unknown, name: string): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw invalidArgumentType(name, 'Array', value);
}

function checkStrings(value: unknown, name: string): void {
  checkArray(value, name);
  for (const [index, item] of value.entries()) checkString(item, `${name}[${index}]`);
}

function optional(check: Check): Check {
  return (value, name) => {
    if (value !== undefined) check(value, name);
  };
}

function oneOf(...words: readonly string[]): Check {
  const reason = `must be one of: ${words.map((word) => `'${word}'`).join(', ')}`;
  return (value, name) => {
    if (!words.includes(value as string)) throw invalidArgumentValue(name, value, reason);
  };
}

const atLeast =
  (min: number): Check =>
  (value, name) =>
    checkInteger(value, name, min);

const isSet = optional(checkBoolean);
const isText = optional(checkString);

const CACHE: Checks = { inodesMax: atLeast(1), namesMax: atLeast(1) };

export interface OpenOptions {
  /** Makes the store if there is none. Default: true. */
  readonly create?: boolean;
  /** Opens a store that belongs to another user, whom you trust. Default: true if RAMET_TRUST_STORE is 1. */
  readonly trustStore?: boolean;
  /**
   * Changes nothing in the store and leaves no trace in it, so that it may lie on a read-only filesystem. Calls that
   * would write fail with EROFS. Default: false.
   */
  readonly readOnly?: boolean;
  /**
   * How many inodes and names the open trees of this store may cache. By default all stores of the process
   * share 131,072 inodes and 1,048,576 names.
   */
  readonly cache?: CacheLimits;
}

export const OPEN: Checks = {
  create: isSet,
  trustStore: isSet,
  readOnly: isSet,
  cache: optional((value, name) => checkOptions(value, CACHE, name)),
};

export interface StoreImportOptions extends ImportOptions {
  /** Called once the import is done, with a report of what it did and what it could not import as it was. */
  readonly onReport?: (report: ImportReport) => void;
}

export const IMPORT: Checks = {
  name: checkString,
  against: isText,
  skipUnreadable: isSet,
  whiteouts: optional(oneOf('oci', 'overlay', 'none')),
  over: isText,
  concurrency: optional(atLeast(1)),
  progress: optional(checkFunction),
  signal: optional(checkSignal),
  onReport: optional(checkFunction),
};

export interface ForkOptions {
  readonly name: string;
  /**
   * The trees that the fork stands on, uppermost first: trees of the store by name, directories of the host by a path
   * with a slash in it (`./repo`). Several are merged as docs/unions.md says; `[]` makes an empty tree. A directory is
   * not read in advance, and never written; docs/host-trees.md says what a fork shows of later changes to the
   * directory.
   */
  readonly lowers: readonly string[];
  /**
   * For a fork of a directory: the first change to a file copies all its bytes, so that the host file may change later
   * without harm. Default: false.
   */
  readonly pin?: boolean;
}

export const CREATE_FORK: Checks = { name: checkString, lowers: checkStrings, pin: isSet };

/**
 * Options of dedupe: the trees, limits of memory and time, a function to call with the progress, and a signal that ends
 * the run early.
 */
export type StoreDedupeOptions = Omit<DedupeOptions, 'frozenElsewhere'>;

export const DEDUPE: Checks = {
  trees: optional(checkStrings),
  memoryBytes: optional(atLeast(0)),
  timeMs: optional((value, name) => {
    if (typeof value !== 'number') throw invalidArgumentType(name, 'number', value);
  }),
  progress: optional(checkFunction),
  signal: optional(checkSignal),
};

export const FSCK: Checks = { scrub: isSet };

export interface MapFileOptions {
  /** Reads and verifies every block first: EIO instead of damaged bytes. */
  readonly verify?: boolean;
  /** Address space to reserve, in bytes, for a file that will grow while it is mapped. */
  readonly reserveBytes?: number;
}

export const MAP: Checks = { verify: isSet, reserveBytes: optional(atLeast(0)) };

export const MOUNT: Checks = {
  io: optional(oneOf('cached', 'shared', 'direct')),
  allowOther: isSet,
  noAtime: isSet,
};

export const UNMOUNT: Checks = { lazy: isSet };

export const COMMIT: Checks = {
  to: optional(checkHostPath),
  base: isText,
  conflicts: optional(oneOf('none', 'force', 'skip')),
  dryRun: isSet,
};

export const MERGE: Checks = {
  base: isText,
  conflicts: optional(oneOf('none', 'ours', 'theirs', 'markers')),
  discard: isSet,
};

export const ROLLBACK: Checks = { discard: isSet };

export const EXPORT_CHANGES: Checks = { against: isText, format: optional(oneOf('oci', 'overlay')) };

export function checkOptions(options: unknown, checks: Checks, name = 'options'): void {
  checkObject(options, name);
  // The cast: an object may have any property, of any type.
  const given = options as Readonly<Record<string, unknown>>;
  for (const [key, check] of Object.entries(checks)) check(given[key], `${name}.${key}`);
}
