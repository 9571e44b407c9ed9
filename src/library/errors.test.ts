/** Errors have the shape, the order of properties and the messages of those of node:fs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from '../base/index.ts';
import {
  describeValue,
  failureOf,
  invalidArgumentType,
  invalidArgumentValue,
  isArgumentError,
  outOfRange,
  pathText,
  systemError,
  systemFailure,
} from './errors.ts';

test('a system failure is a plain Error with the properties in the order of Node', () => {
  const error = systemFailure('ENOENT', 'rename', '/a', '/b');
  assert.equal(error.constructor, Error);
  assert.equal(error.message, "ENOENT: no such file or directory, rename '/a' -> '/b'");
  assert.deepEqual(Object.entries(error), [
    ['errno', -2],
    ['code', 'ENOENT'],
    ['syscall', 'rename'],
    ['path', '/a'],
    ['dest', '/b'],
  ]);
  assert.deepEqual(Object.keys(systemFailure('EBADF', 'read')), ['errno', 'code', 'syscall']);
});

test('failures of the core get system call and path, and keep their note', () => {
  const error = failureOf(new FsError('EROFS', { note: 'it is a snapshot' }), 'open', Buffer.from('/ü'));
  assert.ok(error instanceof Error && !(error instanceof FsError));
  assert.equal(error.message, "EROFS: read-only file system, open '/ü' (it is a snapshot)");
  const other = new RangeError('not ours');
  assert.equal(failureOf(other, 'open'), other);
});

test('messages show paths that are text, bytes or URLs', () => {
  assert.equal(pathText('/a'), '/a');
  assert.equal(pathText(new Uint8Array([0x2f, 0x61])), '/a');
  assert.equal(pathText(new URL('file:///a%20b')), '/a b');
});

test('values are described as Node describes them', () => {
  const cases: [unknown, string][] = [
    [undefined, 'undefined'],
    [null, 'null'],
    [5, 'type number (5)'],
    ['text', "type string ('text')"],
    ['a text that goes on and on and on', "type string ('a text that goes on and o...')"],
    [true, 'type boolean (true)'],
    [5n, 'type bigint (5n)'],
    [{}, 'an instance of Object'],
    [[], 'an instance of Array'],
    [Object.create(null), '[Object: null prototype] {}'],
    [describeValue, 'function describeValue'],
    ["it's", 'type string ("it\'s")'],
    [-0, 'type number (-0)'],
    [Symbol('s'), 'type symbol (Symbol(s))'],
  ];
  for (const [value, expected] of cases) assert.equal(describeValue(value), expected);
});

test('argument errors have a code, a class, and the code in the stack', () => {
  const type = invalidArgumentType('options.flag', ['string', 'Buffer', 'function'], 5);
  assert.equal(
    type.message,
    'The "options.flag" property must be one of type string or function or an instance of Buffer. ' +
      'Received type number (5)',
  );
  assert.equal(type.name, 'TypeError');
  assert.match(type.stack ?? '', /^TypeError \[ERR_INVALID_ARG_TYPE\]: The "options\.flag"/);
  assert.equal(String(type), `TypeError [ERR_INVALID_ARG_TYPE]: ${type.message}`);
  assert.deepEqual(Object.entries(type), [['code', 'ERR_INVALID_ARG_TYPE']]);
  const value = invalidArgumentValue('flags', 'x'.repeat(200));
  assert.equal(value.message, `The argument 'flags' is invalid. Received '${'x'.repeat(127)}...`);
  const range = outOfRange('len', 'an integer', 2 ** 40);
  assert.equal(
    range.message,
    'The value of "len" is out of range. It must be an integer. Received 1_099_511_627_776',
  );
  assert.ok(range instanceof RangeError);
  for (const error of [type, value, range]) assert.ok(isArgumentError(error));
  assert.ok(!isArgumentError(systemFailure('ENOENT', 'open')));
  assert.ok(!isArgumentError(new TypeError('no code')));
});

test('a SystemError has the failed call in `info`', () => {
  const info = { code: 'EISDIR', message: 'is a directory', path: '/d', syscall: 'rm' } as const;
  const error = systemError('ERR_FS_EISDIR', 'Path is a directory', info);
  assert.equal(error.name, 'SystemError');
  assert.equal(error.message, 'Path is a directory: rm returned EISDIR (is a directory) /d');
  assert.deepEqual(Object.entries(error), [
    ['code', 'ERR_FS_EISDIR'],
    ['info', { ...info, errno: 21 }],
    ['errno', 21],
    ['syscall', 'rm'],
    ['path', '/d'],
  ]);
});
