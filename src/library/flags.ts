/** Translates the flags of open from Node's letters into the numbers of open(2). */
import { constants } from 'node:fs';
import { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '../sys/index.ts';
import { checkInt32 } from './arguments.ts';
import { invalidArgumentValue } from './errors.ts';

const { O_SYNC } = constants;

export const READ_ONLY = O_RDONLY;
export const READ_WRITE = O_RDWR;
/** The flags of 'w'. */
export const WRITE_NEW = O_TRUNC | O_CREAT | O_WRONLY;
/** The flags of 'a'. */
export const APPEND = O_APPEND | O_CREAT | O_WRONLY;

const BY_LETTERS: ReadonlyMap<unknown, number> = new Map([
  ['r', O_RDONLY],
  ['rs', O_RDONLY | O_SYNC],
  ['sr', O_RDONLY | O_SYNC],
  ['r+', O_RDWR],
  ['rs+', O_RDWR | O_SYNC],
  ['sr+', O_RDWR | O_SYNC],
  ['w', WRITE_NEW],
  ['wx', WRITE_NEW | O_EXCL],
  ['xw', WRITE_NEW | O_EXCL],
  ['w+', O_TRUNC | O_CREAT | O_RDWR],
  ['wx+', O_TRUNC | O_CREAT | O_RDWR | O_EXCL],
  ['xw+', O_TRUNC | O_CREAT | O_RDWR | O_EXCL],
  ['a', APPEND],
  ['ax', APPEND | O_EXCL],
  ['xa', APPEND | O_EXCL],
  ['as', APPEND | O_SYNC],
  ['sa', APPEND | O_SYNC],
  ['a+', O_APPEND | O_CREAT | O_RDWR],
  ['ax+', O_APPEND | O_CREAT | O_RDWR | O_EXCL],
  ['xa+', O_APPEND | O_CREAT | O_RDWR | O_EXCL],
  ['as+', O_APPEND | O_CREAT | O_RDWR | O_SYNC],
  ['sa+', O_APPEND | O_CREAT | O_RDWR | O_SYNC],
]);

/** The number of open(2) for flags given as letters or as a number; `fallback` replaces null and undefined. */
export function openFlags(flags: unknown, fallback = O_RDONLY): number {
  if (flags === undefined || flags === null) return fallback;
  if (typeof flags === 'number') {
    checkInt32(flags, 'flags');
    return flags;
  }
  const known = BY_LETTERS.get(flags);
  if (known === undefined) throw invalidArgumentValue('flags', flags);
  return known;
}
