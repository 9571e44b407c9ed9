/**
 * Errors in exactly the shapes that node:fs gives: plain `Error` objects with errno, code, syscall, path and dest when
 * the filesystem fails, and TypeError, RangeError and SystemError with Node's own codes and texts when the caller is
 * wrong. The texts are those of lib/internal/errors.js of Node 20 to 24.
 */
import { inspect } from 'node:util';
import type { ErrorCode } from '../base/index.ts';
import { assert, describeCode, FsError, isFsError } from '../base/index.ts';

/** The extra properties of a filesystem error, in the order in which Node sets them. */
export interface SystemFailure extends Error {
  errno: number;
  code: string;
  syscall: string;
  path?: string;
  dest?: string;
}

/** A filesystem error as libuv's uvException makes it: `ENOENT: no such file or directory, open '/x'`. */
export function systemFailure(
  code: ErrorCode,
  syscall: string,
  path?: string,
  dest?: string,
  note?: string,
): SystemFailure {
  const known = describeCode(code);
  let message = `${code}: ${known.message}, ${syscall}`;
  if (path !== undefined) message += ` '${path}'`;
  if (dest !== undefined) message += ` -> '${dest}'`;
  if (note !== undefined) message += ` (${note})`;
  const failure: Partial<SystemFailure> & Error = new Error(message);
  failure.errno = known.errno;
  failure.code = code;
  failure.syscall = syscall;
  if (path !== undefined) failure.path = path;
  if (dest !== undefined) failure.dest = dest;
  // Every property that SystemFailure requires has been set on the lines above.
  return failure as SystemFailure;
}

/** The path as a caller wrote it, for messages: strings as they are, bytes as UTF-8, URLs as their path. */
export function pathText(path: unknown): string {
  if (typeof path === 'string') return path;
  if (path instanceof Uint8Array)
    return Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString();
  if (path instanceof URL) return decodeURIComponent(path.pathname);
  return String(path);
}

/** Turns an FsError of the core into Node's shape; returns any other error as it is. */
export function failureOf(error: unknown, syscall: string, path?: unknown, dest?: unknown): unknown {
  if (!(error instanceof FsError)) return error;
  return systemFailure(
    error.code,
    syscall,
    path === undefined ? undefined : pathText(path),
    dest === undefined ? undefined : pathText(dest),
    error.note,
  );
}

/** The system call that a method's failures name, and how many of its first arguments they name as paths. */
type Failure = readonly [syscall: string, pathCount?: 1 | 2];
const PARAMETERS_MAX = 4;

/**
 * Wraps methods of a class, once for all its objects, so that errors of the core leave in Node's shape. The wrapper
 * passes arguments one by one, so that no call makes a closure or a list, and costs some 15 ns a call. Methods that
 * take no more than a few hundred ns (stat, read, write, close) catch their failures themselves instead.
 */
export function failAsNode(prototype: object, failures: Readonly<Record<string, Failure>>): void {
  for (const [name, [syscall, pathCount = 0]] of Object.entries(failures)) {
    const method: unknown = Reflect.get(prototype, name);
    assert(typeof method === 'function' && method.length <= PARAMETERS_MAX, `there is a method ${name}`);
    const wrapped = function (this: object, a: unknown, b: unknown, c: unknown, d: unknown): unknown {
      try {
        return method.call(this, a, b, c, d);
      } catch (error) {
        throw failureOf(error, syscall, pathCount > 0 ? a : undefined, pathCount > 1 ? b : undefined);
      }
    };
    Reflect.set(prototype, name, wrapped);
  }
}

export function isCode(error: unknown, code: ErrorCode): boolean {
  return isFsError(error, code) || (error instanceof Error && 'code' in error && error.code === code);
}

/** Gives an error a code, and puts the code into the first line of its stack, as Node's own errors do. */
export function withCode<T extends Error>(error: T, code: string): T & { code: string } {
  const { name } = error;
  Object.defineProperty(error, 'name', { value: `${name} [${code}]`, configurable: true });
  // The stack's first line is composed when it is first read.
  void error.stack;
  Reflect.deleteProperty(error, 'name');
  Object.defineProperty(error, 'toString', {
    value: () => `${name} [${code}]: ${error.message}`,
    enumerable: false,
    configurable: true,
    writable: true,
  });
  return Object.assign(error, { code });
}

/** True for the errors of this file that blame the arguments; callback forms throw them at once. */
export function isArgumentError(error: unknown): boolean {
  return (
    (error instanceof TypeError || error instanceof RangeError) &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.startsWith('ERR_')
  );
}

const PRIMITIVES = new Set([
  'string',
  'function',
  'number',
  'object',
  'Function',
  'Object',
  'boolean',
  'bigint',
  'symbol',
]);

function listOf(words: readonly string[]): string {
  if (words.length <= 1) return words[0] ?? '';
  if (words.length === 2) return `${words[0]} or ${words[1]}`;
  return `${words.slice(0, -1).join(', ')}, or ${words.at(-1)}`;
}

/** Describes a value in Node's words: `undefined`, `type number (5)`, `an instance of Object`. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const name: unknown = value.constructor?.name;
    if (typeof name === 'string' && name !== '') return `an instance of ${name}`;
    return inspect(value, { depth: -1 });
  }
  if (typeof value !== 'string') return `type ${typeof value} (${inspect(value, { colors: false })})`;
  const text = value.length > 28 ? `${value.slice(0, 25)}...` : value;
  return `type string (${text.includes("'") ? JSON.stringify(text) : `'${text}'`})`;
}

/** ERR_INVALID_ARG_TYPE. `expected` holds type names, class names (capitalised) and phrases. */
export function invalidArgumentType(
  name: string,
  expected: string | readonly string[],
  actual: unknown,
): TypeError {
  const types: string[] = [];
  const instances: string[] = [];
  const others: string[] = [];
  for (const word of typeof expected === 'string' ? [expected] : expected) {
    if (PRIMITIVES.has(word)) types.push(word.toLowerCase());
    else if (/^[A-Z][a-zA-Z0-9]*$/.test(word)) instances.push(word);
    else others.push(word);
  }
  if (instances.length > 0 && types.includes('object')) {
    types.splice(types.indexOf('object'), 1);
    instances.push('Object');
  }
  const parts: string[] = [];
  if (types.length > 0) parts.push(`${types.length > 1 ? 'one of type' : 'of type'} ${listOf(types)}`);
  if (instances.length > 0) parts.push(`an instance of ${listOf(instances)}`);
  if (others.length > 1) parts.push(`one of ${listOf(others)}`);
  else if (others.length === 1) {
    parts.push(others[0]!.toLowerCase() === others[0] ? others[0] : `an ${others[0]}`);
  }
  const kind = name.includes('.') ? 'property' : 'argument';
  const message = `The "${name}" ${kind} must be ${parts.join(' or ')}. Received ${describeValue(actual)}`;
  return withCode(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

/** ERR_INVALID_ARG_VALUE. */
export function invalidArgumentValue(name: string, value: unknown, reason = 'is invalid'): TypeError {
  let text = inspect(value);
  if (text.length > 128) text = `${text.slice(0, 128)}...`;
  const kind = name.includes('.') ? 'property' : 'argument';
  return withCode(
    new TypeError(`The ${kind} '${name}' ${reason}. Received ${text}`),
    'ERR_INVALID_ARG_VALUE',
  );
}

function withSeparators(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, '_');
}

/** ERR_OUT_OF_RANGE. */
export function outOfRange(name: string, range: string, value: unknown): RangeError {
  let text: string;
  if (typeof value === 'bigint') {
    const isLong = value > 2n ** 32n || value < -(2n ** 32n);
    text = `${isLong ? withSeparators(String(value)) : String(value)}n`;
  } else if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) > 2 ** 32) {
    text = withSeparators(String(value));
  } else text = inspect(value);
  return withCode(
    new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${text}`),
    'ERR_OUT_OF_RANGE',
  );
}

/** Node's SystemError, which rm and cp use: `code` is a code of Node, and `info` holds the POSIX code. */
export function systemError(
  code: string,
  summary: string,
  info: { code: ErrorCode; message: string; path: string; syscall: string },
): Error {
  const errno = -describeCode(info.code).errno;
  const message = `${summary}: ${info.syscall} returned ${info.code} (${info.message}) ${info.path}`;
  const error = new Error(message);
  Object.defineProperty(error, 'name', {
    value: 'SystemError',
    enumerable: false,
    writable: true,
    configurable: true,
  });
  return Object.assign(error, {
    code,
    info: { ...info, errno },
    errno,
    syscall: info.syscall,
    path: info.path,
  });
}
