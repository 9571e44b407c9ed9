/** Helpers for cases: paths of a case, exact shapes of errors, and bytes with a recognisable pattern. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import type { FsSubject } from './subject.ts';

/** The absolute path of `relative`, which is inside the directory of the case. */
export function at(subject: FsSubject, relative: string): string {
  return `${subject.root}/${relative}`;
}

const textByCode = new Map<string, { errno: number; text: string }>();
for (const [errno, [code, text]] of getSystemErrorMap()) textByCode.set(code, { errno, text });

export interface ExpectedError {
  readonly code: string;
  /** The system call that Node names; if undefined, neither the system call nor the message is checked. */
  readonly syscall?: string;
  readonly path?: string;
  readonly dest?: string;
}

/** The properties of an error, which may be any thrown value. */
interface ErrorShape {
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly syscall?: unknown;
  readonly path?: unknown;
  readonly dest?: unknown;
}

function checkError(error: unknown, expected: ExpectedError): void {
  assert.ok(error instanceof Error, `an Error was thrown, not ${String(error)}`);
  // An Error is an object, and every property of ErrorShape is optional and unknown.
  const shape = error as ErrorShape;
  assert.equal(shape.code, expected.code, `code of: ${error.message}`);
  const known = textByCode.get(expected.code);
  assert.ok(known !== undefined, `${expected.code} is a system error`);
  assert.equal(shape.errno, known.errno, `errno of: ${error.message}`);
  if (expected.syscall === undefined) return;
  assert.equal(shape.syscall, expected.syscall, `syscall of: ${error.message}`);
  assert.equal(shape.path, expected.path, `path of: ${error.message}`);
  assert.equal(shape.dest, expected.dest, `dest of: ${error.message}`);
  let message = `${expected.code}: ${known.text}, ${expected.syscall}`;
  if (expected.path !== undefined) message += ` '${expected.path}'`;
  if (expected.dest !== undefined) message += ` -> '${expected.dest}'`;
  assert.equal(error.message, message);
}

/** Runs `action`, which must fail with exactly the expected shape. */
export function expectError(action: () => unknown, expected: ExpectedError): void {
  let thrown: unknown;
  let returned: unknown;
  try {
    returned = action();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown !== undefined, `fails with ${expected.code}, but returned ${String(returned)}`);
  checkError(thrown, expected);
}

/** Like `expectError`, for a promise. */
export async function expectRejection(
  action: () => Promise<unknown>,
  expected: ExpectedError,
): Promise<void> {
  let promise: Promise<unknown>;
  try {
    promise = action();
  } catch (error) {
    assert.fail(`rejects, but threw at once: ${String(error)}`);
  }
  let thrown: unknown;
  try {
    await promise;
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown !== undefined, `rejects with ${expected.code}, but resolved`);
  checkError(thrown, expected);
}

/** The codes of Node's own errors about arguments and of rm and cp. */
export type NodeCode =
  | 'ERR_INVALID_ARG_TYPE'
  | 'ERR_INVALID_ARG_VALUE'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_DIR_CLOSED'
  | 'ERR_FS_EISDIR'
  | 'ERR_FS_CP_EINVAL'
  | 'ERR_FS_CP_EEXIST'
  | 'ERR_FS_CP_DIR_TO_NON_DIR'
  | 'ERR_FS_CP_NON_DIR_TO_DIR';

/** Runs `action`, which must fail with one of Node's own codes, as the class of error Node uses for that code. */
export function expectNodeError(action: () => unknown, code: NodeCode): void {
  assert.throws(action, (error: unknown) => {
    assert.ok(error instanceof Error);
    // An Error is an object, and every property of ErrorShape is optional and unknown.
    assert.equal((error as ErrorShape).code, code, `code of: ${error.message}`);
    if (code.startsWith('ERR_INVALID_ARG')) assert.ok(error instanceof TypeError, `${code} is a TypeError`);
    if (code === 'ERR_OUT_OF_RANGE') assert.ok(error instanceof RangeError, `${code} is a RangeError`);
    return true;
  });
}

export async function expectNodeRejection(action: () => Promise<unknown>, code: NodeCode): Promise<void> {
  let thrown: unknown;
  const promise = action();
  try {
    await promise;
  } catch (error) {
    thrown = error;
  }
  expectNodeError(() => {
    if (thrown !== undefined) throw thrown;
  }, code);
}

/** Passes a value of the wrong type on purpose: `never` is accepted wherever TypeScript would refuse the value. */
export function wrongType(value: unknown): never {
  // The cast is wrong on purpose: the callee must reject the value at run time.
  return value as never;
}

/** Opens a file, hands over the descriptor, and closes it whatever happens. */
export function withFile<T>(
  subject: FsSubject,
  relative: string,
  flags: string | number,
  action: (fd: number) => T,
): T {
  const fd = subject.fs.openSync(at(subject, relative), flags);
  try {
    return action(fd);
  } finally {
    subject.fs.closeSync(fd);
  }
}

/** `length` bytes in which every block differs and no byte is zero, so that a hole or a moved block is seen. */
export function patternBytes(length: number, salt = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) {
    bytes[index] = 1 + ((index * 7 + (index >>> 12) * 31 + salt * 101) % 255);
  }
  return bytes;
}

/** Compares bytes; the error names the first that differs instead of printing all of them. */
export function equalBytes(actual: Uint8Array, expected: Uint8Array, what = 'content'): void {
  assert.equal(actual.length, expected.length, `length of ${what}`);
  for (let index = 0; index < expected.length; index++) {
    if (actual[index] !== expected[index]) {
      assert.fail(`${what}: byte ${index} is ${actual[index]}, expected ${expected[index]}`);
    }
  }
}

/** The content of a file must equal these bytes, or this text in latin1. */
export function expectContent(subject: FsSubject, relative: string, expected: Uint8Array | string): void {
  const bytes = typeof expected === 'string' ? Buffer.from(expected, 'latin1') : expected;
  equalBytes(subject.fs.readFileSync(at(subject, relative)), bytes, relative);
}

/** Asserts that the name does not exist, not even as a dangling symbolic link. */
export function expectAbsent(subject: FsSubject, relative: string): void {
  assert.equal(subject.fs.lstatSync(at(subject, relative), { throwIfNoEntry: false }), undefined);
}

/** The permission bits (07777) of a path, links not followed. */
export function permissionsOf(subject: FsSubject, relative: string): number {
  return subject.fs.lstatSync(at(subject, relative)).mode & 0o7777;
}

/** The type bits of a path, links not followed, for example constants.S_IFREG. */
export function typeOf(subject: FsSubject, relative: string): number {
  return subject.fs.lstatSync(at(subject, relative)).mode & constants.S_IFMT;
}

/** Names in a directory, sorted by code unit. */
export function namesIn(subject: FsSubject, relative: string): string[] {
  return subject.fs.readdirSync(at(subject, relative)).sort();
}

/** Waits until the wall clock has certainly ticked, also on filesystems that stamp by the timer interrupt. */
export function waitForClock(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 15));
}
