/** File names and paths as byte strings: JavaScript strings with one character per byte (see `Name`). */
import type { Name } from './brand.ts';

/** NAME_MAX of Linux, in bytes. */
export const NAME_BYTES_MAX = 255;
/** PATH_MAX of Linux, in bytes, including the terminating zero. */
export const PATH_BYTES_MAX = 4096;
/** Symlinks that Linux follows in one path before ELOOP: path_resolution(7). */
export const SYMLINKS_MAX = 40;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is exactly ASCII.
const NOT_ASCII = /[^\x00-\x7f]/;

/** True if a byte string can be the name of a file. */
export function isFileName(name: string): name is Name {
  if (name.length === 0 || name.length > NAME_BYTES_MAX || name === '.' || name === '..') return false;
  return !name.includes('/') && !name.includes('\0');
}

/** A JavaScript string (UTF-16) as a byte string of its UTF-8 form. Lone surrogates become U+FFFD, as in node:fs. */
export function nameFromString(text: string): Name {
  return (NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text) as Name;
}

export function nameFromBytes(bytes: Uint8Array): Name {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1') as Name;
}

/** A byte string as text; bytes that are not UTF-8 become U+FFFD, as in node:fs. */
export function nameToString(name: string): string {
  return NOT_ASCII.test(name) ? Buffer.from(name, 'latin1').toString('utf8') : name;
}

export function nameToBytes(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}
