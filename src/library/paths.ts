/** Turns paths that callers give (string, bytes, file: URL) into byte paths of the core, and names back into text. */
import { fileURLToPath } from 'node:url';
import { nameFromBytes, nameToBytes, nameToString } from '../base/index.ts';
import { invalidArgumentType, invalidArgumentValue } from './errors.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: everything but ASCII without the zero byte.
const NEEDS_CARE = /[^\x01-\x7f]/;
const NO_NULL_BYTES = 'must be a string, Uint8Array, or URL without null bytes';

/** The types of a path argument. */
export type PathArgument = string | Uint8Array | URL;

/**
 * The byte path of an argument. An ASCII string is returned as it is and nothing is allocated.
 * Throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE (a null byte) or what `fileURLToPath` throws.
 */
export function bytePath(path: unknown, argument = 'path'): string {
  if (typeof path === 'string' && !NEEDS_CARE.test(path)) return path;
  return carefulPath(path, argument);
}

function carefulPath(path: unknown, argument: string): string {
  if (typeof path === 'string') {
    if (path.includes('\0')) throw invalidArgumentValue(argument, path, NO_NULL_BYTES);
    return Buffer.from(path, 'utf8').toString('latin1');
  }
  if (path instanceof Uint8Array) {
    if (path.includes(0)) throw invalidArgumentValue(argument, path, NO_NULL_BYTES);
    return nameFromBytes(path);
  }
  if (isUrl(path)) return bytePath(fileURLToPath(path), argument);
  throw invalidArgumentType(argument, ['string', 'Buffer', 'URL'], path);
}

/** The same test as Node's: URLs of another realm count, the legacy url.parse() objects do not. */
function isUrl(value: unknown): value is URL {
  if (typeof value !== 'object' || value === null) return false;
  if (value instanceof URL) return true;
  return (
    'href' in value && 'protocol' in value && Boolean(value.href) && !('auth' in value) && !('path' in value)
  );
}

/** The value of `Dirent.parentPath` and `Dir.path`: the path as given, or the path that a URL stands for. */
export function shownPath(path: PathArgument): string | Uint8Array {
  return path instanceof URL ? fileURLToPath(path) : path;
}

export type NameEncoding = BufferEncoding | 'buffer' | null | undefined;

/** A name or path of the core in `encoding`: text, or a Buffer for 'buffer'. */
export function encodeName(name: string, encoding: NameEncoding): string | Buffer {
  if (encoding === undefined || encoding === null || encoding === 'utf8' || encoding === 'utf-8')
    return nameToString(name);
  if (encoding === 'buffer') return nameToBytes(name);
  return nameToBytes(name).toString(encoding);
}

/** Joins a directory's path and a name in it; neither is normalised. */
export function joinBytes(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}
