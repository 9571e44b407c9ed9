/** The table of descriptors: its numbers, and EBADF for a number that is not open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TreeFile } from '../vfs/index.ts';
import { Descriptors, FIRST_DESCRIPTOR } from './descriptors.ts';

/** Stands in for an open file: the table only keeps files and returns them. */
function someFile(): TreeFile {
  // The cast: the table touches no member of a file.
  return { position: 0 } as TreeFile;
}

test('a descriptor stands for its file until it is taken out; then its number is used again', () => {
  const table = new Descriptors();
  const first = someFile();
  const second = someFile();
  assert.equal(table.add(first), FIRST_DESCRIPTOR);
  assert.equal(table.add(second), FIRST_DESCRIPTOR + 1);
  assert.equal(table.get(FIRST_DESCRIPTOR, 'read'), first);
  assert.equal(table.take(FIRST_DESCRIPTOR, 'close'), first);
  assert.equal(table.find(FIRST_DESCRIPTOR), undefined);
  const third = someFile();
  assert.equal(table.add(third), FIRST_DESCRIPTOR);
  assert.equal(table.get(FIRST_DESCRIPTOR, 'read'), third);
});

test('a number that is not open gives EBADF with the system call; any other value is an argument error', () => {
  const table = new Descriptors();
  for (const fd of [0, 3, FIRST_DESCRIPTOR, 2 ** 31 - 1]) {
    assert.throws(() => table.get(fd, 'fsync'), {
      message: 'EBADF: bad file descriptor, fsync',
      code: 'EBADF',
      errno: -9,
      syscall: 'fsync',
    });
  }
  assert.throws(() => table.get('1', 'fsync'), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' });
  assert.throws(() => table.get(undefined, 'fsync'), { code: 'ERR_INVALID_ARG_TYPE' });
  assert.throws(() => table.get(-1, 'fsync'), { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' });
  assert.throws(() => table.get(1.5, 'fsync'), { code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => table.get(2 ** 31, 'fsync'), { code: 'ERR_OUT_OF_RANGE' });
});

test('takeAll empties the table', () => {
  const table = new Descriptors();
  const files = [someFile(), someFile(), someFile()];
  for (const file of files) table.add(file);
  table.take(FIRST_DESCRIPTOR + 1, 'close');
  assert.deepEqual(table.takeAll(), [files[0], files[2]]);
  assert.deepEqual(table.takeAll(), []);
  assert.throws(() => table.get(FIRST_DESCRIPTOR, 'read'), { code: 'EBADF' });
});
