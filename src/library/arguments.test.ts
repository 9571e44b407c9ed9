/** Wrong arguments fail with the errors of node:fs. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { fileMode, optionsOf, readPosition, smallMode, writePosition } from './arguments.ts';
import { timeArgument } from './attributes.ts';
import { openFlags } from './flags.ts';

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;

test('open flags may be letters, numbers or missing', () => {
  assert.equal(openFlags(undefined), O_RDONLY);
  assert.equal(openFlags(null), O_RDONLY);
  assert.equal(openFlags(undefined, O_RDWR), O_RDWR);
  assert.equal(openFlags('r+'), O_RDWR);
  assert.equal(openFlags('rs+'), O_RDWR | O_SYNC);
  assert.equal(openFlags('w'), O_WRONLY | O_CREAT | O_TRUNC);
  assert.equal(openFlags('xw+'), O_RDWR | O_CREAT | O_TRUNC | O_EXCL);
  assert.equal(openFlags('a'), O_WRONLY | O_CREAT | O_APPEND);
  assert.equal(openFlags('ax+'), O_RDWR | O_CREAT | O_APPEND | O_EXCL);
  assert.equal(openFlags('as'), O_WRONLY | O_CREAT | O_APPEND | O_SYNC);
  assert.equal(openFlags(O_WRONLY | O_CREAT), O_WRONLY | O_CREAT);
  assert.throws(() => openFlags('q'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => openFlags('rw'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => openFlags({}), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => openFlags(1.5), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => openFlags(2 ** 31), { code: 'ERR_OUT_OF_RANGE' });
});

test('file modes may be numbers or octal text', () => {
  assert.equal(fileMode(0o644, 'mode'), 0o644);
  assert.equal(fileMode('755', 'mode'), 0o755);
  assert.equal(fileMode(undefined, 'mode', 0o666), 0o666);
  assert.ok(Object.is(fileMode(-0, 'mode'), 0));
  assert.throws(() => fileMode('8', 'mode'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => fileMode('', 'mode'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => fileMode(undefined, 'mode'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => fileMode(-1, 'mode'), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => fileMode(2 ** 32, 'mode'), { code: 'ERR_OUT_OF_RANGE' });
});

test('the mode of access and of copyFile is checked', () => {
  assert.equal(smallMode(undefined), 0);
  assert.equal(smallMode(null), 0);
  assert.equal(smallMode(7), 7);
  assert.equal(smallMode(1.5), 1);
  assert.throws(() => smallMode(8), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => smallMode(-1), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => smallMode('1'), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('the positions -1, null and undefined mean the position of the file', () => {
  assert.equal(readPosition(undefined), null);
  assert.equal(readPosition(null), null);
  assert.equal(readPosition(-1), null);
  assert.equal(readPosition(-1n), null);
  assert.equal(readPosition(0), 0);
  assert.equal(readPosition(5n), 5);
  assert.throws(() => readPosition(-2), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => readPosition(1.5), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => readPosition(2n ** 63n), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => readPosition('0'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.equal(writePosition(3), 3);
  for (const other of [undefined, null, -1, 'x', 4n]) assert.equal(writePosition(other), null);
});

test('options may be an object, an encoding, a callback or missing', () => {
  assert.equal(optionsOf('hex').encoding, 'hex');
  assert.equal(optionsOf({ encoding: 'buffer' }).encoding, 'buffer');
  assert.equal(optionsOf(() => 0).encoding, undefined);
  assert.equal(optionsOf(null).encoding, undefined);
  assert.throws(() => optionsOf('utf-99'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => optionsOf(5), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => optionsOf({ signal: 'stop' }), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('times may be dates, to the millisecond, or numbers and text in seconds', () => {
  const time = (value: unknown) => timeArgument(value, 'time', 'utime', '/x');
  assert.deepEqual(time(new Date(1_700_000_000_123)), { seconds: 1_700_000_000, nanoseconds: 123_000_000 });
  assert.deepEqual(time(new Date(-1)), { seconds: -1, nanoseconds: 999_000_000 });
  assert.deepEqual(time(1.123456789), { seconds: 1, nanoseconds: 123_456_789 });
  assert.deepEqual(time(1_700_000_000.123456), { seconds: 1_700_000_000, nanoseconds: 123_456_000 });
  assert.deepEqual(time('12.25'), { seconds: 12, nanoseconds: 250_000_000 });
  assert.deepEqual(time(''), { seconds: 0, nanoseconds: 0 });
  const before = Date.now() / 1000;
  const now = time(-5);
  assert.ok(now.seconds >= Math.floor(before) && now.seconds <= before + 60, 'below zero means now');
  assert.throws(() => time(new Date(Number.NaN)), {
    message: "EINVAL: invalid argument, utime '/x'",
    code: 'EINVAL',
  });
  for (const wrong of [undefined, null, 'x', Number.NaN, Number.POSITIVE_INFINITY, {}, true]) {
    assert.throws(() => time(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
  }
});

test('property: a time in seconds is within a microsecond of what was given, and well formed', () => {
  const seconds = fc.double({ min: 0, max: 1e10, noNaN: true });
  fc.assert(
    fc.property(seconds, (given) => {
      const { seconds: whole, nanoseconds } = timeArgument(given, 'time', 'utime');
      assert.ok(Number.isInteger(whole) && Number.isInteger(nanoseconds));
      assert.ok(nanoseconds >= 0 && nanoseconds < 1e9);
      assert.ok(Math.abs(whole - given + nanoseconds / 1e9) <= 1.1e-6);
    }),
  );
});
