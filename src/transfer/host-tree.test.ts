/** Modes in words, and errors with the path of their file. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError, kindOfMode, wordOfMode } from '../base/index.ts';
import { withPath } from './host-tree.ts';

test('modes have kinds and words', () => {
  assert.deepEqual([kindOfMode(0o100644), kindOfMode(0o040755), kindOfMode(0o120777)], [8, 4, 10]);
  assert.equal(wordOfMode(0o010644), 'fifo');
  assert.equal(wordOfMode(0o060644), 'block device');
});

test('an error gets the path of its file, unless it has a path already', () => {
  const bare = new FsError('EIO', { syscall: 'pread' });
  const named = withPath(bare, 'read', '/x');
  assert.ok(named instanceof FsError);
  assert.deepEqual([named.code, named.syscall, named.path], ['EIO', 'pread', '/x']);
  assert.equal(withPath(named, 'read', '/y'), named);
  const other = new Error('other');
  assert.equal(withPath(other, 'read', '/x'), other);
});
