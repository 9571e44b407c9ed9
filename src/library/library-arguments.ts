/**
 * Checks of the arguments of the library's calls, with Node's codes and texts: ERR_INVALID_ARG_TYPE,
 * ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE. A wrong argument fails before anything is done. Unknown options
 * are ignored, as in Node.
 */
import { checkBoolean, checkFunction, checkInteger, checkObject, checkSignal } from './arguments.ts';
import { invalidArgumentType, invalidArgumentValue } from './errors.ts';

type Check = (value: unknown, name: string) => void;
/** A check for every option that there may be. */
type Checks = Readonly<Record<string, Check>>;

/** The name of a tree, whose form the store knows. */
export function checkString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidArgumentType(name, 'string', value);
}

/** A path on the host. An empty one would stand for the working directory. */
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

export const OPEN: Checks = {
  create: isSet,
  cache: optional((value, name) => checkOptions(value, CACHE, name)),
};

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

export const CREATE_FORK: Checks = { name: checkString, lowers: checkStrings, pin: isSet };

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
  // An object may have any property, of any type.
  const given = options as Readonly<Record<string, unknown>>;
  for (const [key, check] of Object.entries(checks)) check(given[key], `${name}.${key}`);
}
