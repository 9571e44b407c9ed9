/** Notifications against bytes written by hand: include/uapi/linux/fuse.h. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { invalidateInode, pruneMessages } from './notifications.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string) => text.replaceAll(' ', '');

describe('a notification', () => {
  it('of an inode is FUSE_NOTIFY_INVAL_INODE: node, position and length, 64 bits each', () => {
    // len 40 · error 2 · unique 0 · ino 2^52 + 1 · off 2^33 · len 4096
    assert.equal(
      hex(invalidateInode(2 ** 52 + 1, 2 ** 33, 4096)),
      bytesOf('28000000 02000000 0000000000000000 0100000000001000 0000000002000000 0010000000000000'),
    );
  });

  it('of the attributes of an inode alone has a position below zero', () => {
    assert.equal(
      hex(invalidateInode(1, -1, 0)),
      bytesOf('28000000 02000000 0000000000000000 0100000000000000 ffffffffffffffff 0000000000000000'),
    );
  });

  it('to let go of nodes is FUSE_NOTIFY_PRUNE: count, padding, spare, and the nodes, the last one first', () => {
    // len 48 · error 9 · unique 0 · count 2 · padding · spare (64) · 5 · 2^40
    assert.deepEqual(
      [...pruneMessages([2 ** 40, 5])].map(hex),
      [
        '30000000 09000000 0000000000000000 02000000 00000000 0000000000000000 0500000000000000 0000000000010000',
      ].map(bytesOf),
    );
  });
});
