/** Errors shaped like those of Node, names as bytes, clocks and random numbers that can be replayed. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { isSameTimespec, ManualClock, timespecFromMs } from './clock.ts';
import { at, codeOfErrno, describeCode, errorAt, FsError, isFsError, StoreError } from './errors.ts';
import { nameFromBytes, nameFromString, nameToBytes, nameToString } from './names.ts';
import { SeededRandom } from './random.ts';

test('an FsError has the shape and the message of the same error of Node', () => {
  const caught = (): NodeJS.ErrnoException => {
    try {
      readFileSync('/nowhere/at/all');
    } catch (error) {
      return error as NodeJS.ErrnoException; // The cast: readFileSync throws no other errors.
    }
    throw new Error('the file does not exist');
  };
  const real = caught();
  const ours = new FsError('ENOENT', { syscall: 'open', path: '/nowhere/at/all' });
  assert.equal(ours.message, real.message);
  assert.deepEqual(
    [ours.code, ours.errno, ours.syscall, ours.path],
    [real.code, real.errno, real.syscall, real.path],
  );
  assert.match(
    new FsError('EXDEV', { syscall: 'rename', path: 'a', dest: 'b' }).message,
    /rename 'a' -> 'b'$/,
  );
});

test('codes and errnos without a name in libuv are known', () => {
  assert.equal(codeOfErrno(2), 'ENOENT');
  assert.equal(codeOfErrno(116), 'ESTALE');
  assert.equal(codeOfErrno(61), 'ENODATA');
  assert.equal(codeOfErrno(9999), 'EIO');
  assert.equal(describeCode('ENOSPC').errno, -28);
  assert.ok(
    isFsError(new FsError('EIO'), 'EIO') &&
      !isFsError(new FsError('EIO'), 'ENOENT') &&
      !isFsError(new Error('other')),
  );
});

test('the message of a StoreError has the operation, the path, the problem and the way out', () => {
  const error = new StoreError('ERR_STORE_NOT_FOUND', 'open', '/x', 'there is no store here', 'Make one.');
  assert.equal(error.message, "open '/x': there is no store here. Make one.");
});

test('names keep every byte, valid UTF-8 or not', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) =>
      assert.deepEqual(nameToBytes(nameFromBytes(bytes)), Buffer.from(bytes)),
    ),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) =>
      assert.equal(nameToString(nameFromString(text)), text),
    ),
  );
  assert.equal(nameFromString('plain'), 'plain');
  assert.equal(nameToString(nameFromBytes(Buffer.from([0xff]))), '\ufffd');
});

test('a seed gives one sequence, and numbers stay below their bound', () => {
  const [first, second, other] = [new SeededRandom(7), new SeededRandom(7), new SeededRandom(8)];
  const draw = (random: SeededRandom): number[] => Array.from({ length: 20 }, () => random.below(1000));
  const drawn = draw(first);
  assert.deepEqual(drawn, draw(second));
  assert.notDeepEqual(drawn, draw(other));
  assert.ok(drawn.every((value) => Number.isInteger(value) && value >= 0 && value < 1000));
});

test('a manual clock moves only when it is read or advanced', () => {
  const clock = new ManualClock(100);
  const first = clock.now();
  assert.deepEqual(clock.now(), { ...first, nanoseconds: first.nanoseconds + 1000 });
  clock.advance(5);
  assert.equal(clock.now().seconds, 105);
  assert.ok(isSameTimespec(first, { ...first }) && isSameTimespec(undefined, undefined));
  assert.ok(!isSameTimespec(first, clock.now()) && !isSameTimespec(first, undefined));
  assert.deepEqual(timespecFromMs(-1), { seconds: -1, nanoseconds: 999_000_000 });
});

test('an error without a path gets that of the caller, and any other stays as it is', () => {
  const bare = new FsError('EIO', { syscall: 'pread', note: 'a note' });
  const named = errorAt({ syscall: 'read', path: '/x' }, bare);
  assert.ok(isFsError(named));
  assert.equal(named.message, "EIO: i/o error, read '/x' (a note)");
  assert.equal(named.note, 'a note');
  assert.equal(errorAt({ path: '/y' }, named), named);
  const other = new TypeError('other');
  assert.equal(errorAt({ path: '/y' }, other), other);
  assert.equal(
    at({ path: '/x' }, () => 5),
    5,
  );
  assert.throws(
    () =>
      at({ path: '/z' }, () => {
        throw bare;
      }),
    { message: "EIO: i/o error, pread '/z' (a note)" },
  );
  assert.equal(named.in({ dest: '/to' }).message, "EIO: i/o error, read '/x' -> '/to' (a note)");
});
