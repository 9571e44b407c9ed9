/** Checks of arguments, with Node's rules, codes and texts (lib/internal/validators.js, lib/internal/fs/utils.js). */
import { invalidArgumentType, invalidArgumentValue, outOfRange, withCode } from './errors.ts';

const USER_ID_MAX = 2 ** 32 - 1;
const INT32_MAX = 2 ** 31 - 1;

export function checkInteger(
  value: unknown,
  name: string,
  min = Number.MIN_SAFE_INTEGER,
  max = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (typeof value !== 'number') throw invalidArgumentType(name, 'number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
}

export function checkInt32(value: unknown, name: string, min = -(2 ** 31)): asserts value is number {
  checkInteger(value, name, min, INT32_MAX);
}

export function checkUint32(value: unknown, name: string, min = 0): asserts value is number {
  checkInteger(value, name, min, 2 ** 32 - 1);
}

/** A user or group number; -1 leaves the file's owner or group as it is. */
export function checkOwnerId(value: unknown, name: string): asserts value is number {
  checkInteger(value, name, -1, USER_ID_MAX);
}

export function checkBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidArgumentType(name, 'boolean', value);
}

export function checkFunction(
  value: unknown,
  name: string,
): asserts value is (...args: unknown[]) => unknown {
  if (typeof value !== 'function') throw invalidArgumentType(name, 'function', value);
}

export function checkObject(value: unknown, name: string): asserts value is object {
  if (value === null || Array.isArray(value) || typeof value !== 'object')
    throw invalidArgumentType(name, 'Object', value);
}

export function checkSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (typeof value !== 'object' || value === null || !('aborted' in value))
    throw invalidArgumentType(name, 'AbortSignal', value);
}

/** Any view of memory. Node says "Buffer, TypedArray, or DataView". */
export function checkView(value: unknown, name = 'buffer'): asserts value is ArrayBufferView {
  if (!ArrayBuffer.isView(value))
    throw invalidArgumentType(name, ['Buffer', 'TypedArray', 'DataView'], value);
}

export function checkViews(value: unknown): asserts value is ArrayBufferView[] {
  if (!Array.isArray(value) || !value.every((item) => ArrayBuffer.isView(item)))
    throw invalidArgumentType('buffers', 'ArrayBufferView[]', value);
}

export function checkText(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string')
    throw invalidArgumentType(name, ['string', 'Buffer', 'TypedArray', 'DataView'], value);
}

/** A view's bytes as a Uint8Array; a Buffer is returned as it is. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A descriptor number: an int32 from 0 on. */
export function checkDescriptor(fd: unknown): asserts fd is number {
  checkInt32(fd, 'fd', 0);
}

/** Whether a path-or-descriptor argument is meant as a descriptor; the same test as Node's isInt32. */
export function isDescriptor(value: unknown): value is number {
  return typeof value === 'number' && value === (value | 0);
}

/** A file mode: an unsigned number or an octal string; `fallback` replaces null and undefined. */
export function fileMode(value: unknown, name: string, fallback?: number): number {
  const given = value ?? fallback;
  if (typeof given === 'string') {
    if (!/^[0-7]+$/.test(given)) {
      throw invalidArgumentValue(name, given, 'must be a 32-bit unsigned integer or an octal string');
    }
    const parsed = Number.parseInt(given, 8);
    checkUint32(parsed, name);
    return parsed;
  }
  checkUint32(given, name);
  return given + 0;
}

/** The mode of access(2) and copyFile: 0 to 7. Node checks these in C++, where the texts differ. */
export function smallMode(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== 'number')
    throw withCode(new TypeError('mode must be int32 or null/undefined'), 'ERR_INVALID_ARG_TYPE');
  const mode = value | 0;
  if (mode < 0 || mode > 7)
    throw withCode(new RangeError('mode is out of range: >= 0 && <= 7'), 'ERR_OUT_OF_RANGE');
  return mode;
}

export function checkReadRange(offset: number, length: number, byteLength: number): void {
  if (offset < 0) throw outOfRange('offset', '>= 0', offset);
  if (length < 0) throw outOfRange('length', '>= 0', length);
  if (offset + length > byteLength) throw outOfRange('length', `<= ${byteLength - offset}`, length);
}

export function checkWriteRange(offset: number, length: number, byteLength: number): void {
  if (offset > byteLength) throw outOfRange('offset', `<= ${byteLength}`, offset);
  if (length > byteLength - offset) throw outOfRange('length', `<= ${byteLength - offset}`, length);
  if (length < 0) throw outOfRange('length', '>= 0', length);
  checkInt32(length, 'length', 0);
}

/** A position to read at, or null for the file's own position: Node takes -1, null and undefined to mean that. */
export function readPosition(position: unknown): number | null {
  if (position === null || position === undefined) return null;
  if (typeof position === 'number') {
    checkInteger(position, 'position', -1);
    return position === -1 ? null : position;
  }
  if (typeof position !== 'bigint') throw invalidArgumentType('position', ['integer', 'bigint'], position);
  if (position < -1n || position > 2n ** 63n - 1n)
    throw outOfRange('position', `>= -1 && <= ${2n ** 63n - 1n}`, position);
  return position === -1n ? null : Number(position);
}

/**
 * A position to write at, or null for the file's own position: as in Node, anything but a number from 0 on means the
 * file's own position.
 */
export function writePosition(position: unknown): number | null {
  return typeof position === 'number' && position >= 0 ? position : null;
}

/** Options of calls that take an encoding. */
export interface CommonOptions {
  readonly encoding?: BufferEncoding | 'buffer' | null;
  readonly signal?: AbortSignal;
  readonly flag?: string | number;
  readonly mode?: number | string;
  readonly flush?: boolean | null;
  readonly recursive?: boolean;
  readonly withFileTypes?: boolean;
  readonly bufferSize?: number;
}

const NO_OPTIONS: CommonOptions = {};

/** Options given as an object, as an encoding, or not at all. A function counts as no options, as in Node. */
export function optionsOf(options: unknown): CommonOptions {
  if (options === null || options === undefined || typeof options === 'function') return NO_OPTIONS;
  let given: CommonOptions;
  // The cast: only the encoding is looked at here, and it is checked on the next lines.
  if (typeof options === 'string') given = { encoding: options as BufferEncoding };
  else if (typeof options === 'object') given = options;
  else throw invalidArgumentType('options', ['string', 'Object'], options);
  const { encoding, signal } = given;
  if (encoding && encoding !== 'buffer' && !Buffer.isEncoding(encoding))
    throw invalidArgumentValue('encoding', encoding, 'is invalid encoding');
  if (signal !== undefined) checkSignal(signal, 'options.signal');
  return given;
}

/**
 * The encoding in which to write `text`; any unknown encoding counts as 'utf8'. 'hex' needs an even number of digits.
 */
export function checkTextEncoding(text: string, encoding: unknown): BufferEncoding {
  if (encoding === undefined || encoding === null) return 'utf8';
  if (typeof encoding === 'string' && encoding.toLowerCase() === 'hex' && text.length % 2 !== 0)
    throw invalidArgumentValue('encoding', encoding, `is invalid for data of length ${text.length}`);
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8';
}

/** Checks the `type` of a symlink, which has a meaning on Windows only. */
export function checkSymlinkType(type: unknown): void {
  if (typeof type === 'string' && type !== 'dir' && type !== 'file' && type !== 'junction') {
    const message = `Symlink type must be one of "dir", "file", or "junction". Received "${type}"`;
    throw withCode(new Error(message), 'ERR_FS_INVALID_SYMLINK_TYPE');
  }
}
