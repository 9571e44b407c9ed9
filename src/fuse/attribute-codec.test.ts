/** Attributes against offsets of include/uapi/linux/fuse.h, written by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Attributes } from '../vfs/index.ts';
import { putAttrOut, putEntry, putMissing, putStatx } from './attribute-codec.ts';
import { Reply } from './reply.ts';

const attributes: Attributes = {
  dev: 5,
  ino: 2 ** 52 + 7,
  mode: 0o100640,
  nlink: 3,
  uid: 0xffff_fffe,
  gid: 1001,
  // makedev(0x123, 0x45678), as new_encode_dev of the kernel packs it.
  rdev: 0x4561_2378,
  size: 2 ** 40 + 1,
  blksize: 4096,
  blocks: 2 ** 33,
  atimeSeconds: -1,
  atimeNanoseconds: 999_999_999,
  mtimeSeconds: 2 ** 33,
  mtimeNanoseconds: 1,
  ctimeSeconds: -(2 ** 33),
  ctimeNanoseconds: 2,
  birthSeconds: 4,
  birthNanoseconds: 5,
};

function payload(put: (reply: Reply) => void): Buffer {
  const reply = new Reply(Buffer.alloc(512, 0xaa));
  put(reply);
  return reply.bytes.subarray(16, reply.finish(0, 0, 0));
}

/** struct fuse_attr, 88 bytes. */
function assertAttributes(bytes: Buffer): void {
  assert.equal(bytes.length, 88);
  const wide = (at: number) => bytes.readBigInt64LE(at);
  // 0 ino · 8 size · 16 blocks · 24 atime · 32 mtime · 40 ctime (64 each)
  assert.deepEqual([0, 8, 16, 24, 32, 40].map(wide), [
    2n ** 52n + 7n,
    2n ** 40n + 1n,
    2n ** 33n,
    -1n,
    2n ** 33n,
    -(2n ** 33n),
  ]);
  // 48 atimensec · 52 mtimensec · 56 ctimensec · 60 mode · 64 nlink · 68 uid · 72 gid · 76 rdev · 80 blksize · 84 flags
  assert.deepEqual(
    [48, 52, 56, 60, 64, 68, 72, 76, 80, 84].map((at) => bytes.readUInt32LE(at)),
    [999_999_999, 1, 2, 0o100640, 3, 0xffff_fffe, 1001, 0x4561_2378, 4096, 0],
  );
}

const YEAR_SECONDS = 31_536_000n;

describe('attributes', () => {
  it('are a struct fuse_attr_out', () => {
    const bytes = payload((reply) => putAttrOut(reply, attributes));
    assert.equal(bytes.length, 104);
    // 0 attr_valid (64) · 8 attr_valid_nsec · 12 dummy · 16 attr
    assert.equal(bytes.readBigUInt64LE(0), YEAR_SECONDS);
    assert.equal(bytes.readBigUInt64LE(8), 0n);
    assertAttributes(bytes.subarray(16));
  });

  it('are part of a struct fuse_entry_out', () => {
    const bytes = payload((reply) => putEntry(reply.zeros(128), 0, attributes, false));
    assert.equal(bytes.length, 128);
    // 0 nodeid · 8 generation · 16 entry_valid · 24 attr_valid (64 each) · 32, 36 nanoseconds · 40 attr
    assert.deepEqual(
      [0, 8, 16, 24, 32].map((at) => bytes.readBigUInt64LE(at)),
      [2n ** 52n + 7n, 0n, YEAR_SECONDS, YEAR_SECONDS, 0n],
    );
    assertAttributes(bytes.subarray(40));
  });

  it('of the root come with node 1 and its own inode number', () => {
    const bytes = payload((reply) => putEntry(reply.zeros(128), 0, attributes, true));
    assert.equal(bytes.readBigUInt64LE(0), 1n);
    assertAttributes(bytes.subarray(40));
  });

  it('overwrite old bytes in the middle of a reply', () => {
    const reply = new Reply(Buffer.alloc(512, 0xaa));
    putEntry(reply, 8, attributes, false);
    assertAttributes(reply.bytes.subarray(16 + 8 + 40, 16 + 8 + 128));
    assert.equal(reply.bytes.readUInt32LE(16 + 4), 0xaaaa_aaaa);
    assert.equal(reply.bytes.readUInt32LE(16 + 136), 0xaaaa_aaaa);
  });

  it('of a missing name are zeros that stay valid', () => {
    const bytes = payload(putMissing);
    const expected = Buffer.alloc(128);
    expected.writeBigUInt64LE(YEAR_SECONDS, 16);
    assert.deepEqual(bytes, expected);
  });

  it('are a struct fuse_statx_out', () => {
    const bytes = payload((reply) => putStatx(reply, attributes));
    assert.equal(bytes.length, 288);
    // 0 attr_valid (64) · 8 attr_valid_nsec · 12 flags · 16 spare (2 × 64) · 32 struct fuse_statx
    assert.equal(bytes.readBigUInt64LE(0), YEAR_SECONDS);
    assert.deepEqual(bytes.subarray(8, 32), Buffer.alloc(24));
    const statx = bytes.subarray(32);
    const [narrow, wide] = [(at: number) => statx.readUInt32LE(at), (at: number) => statx.readBigInt64LE(at)];
    // 0 mask: STATX_BASIC_STATS | STATX_BTIME · 4 blksize · 8 attributes (64) · 16 nlink · 20 uid · 24 gid · 28 mode
    assert.deepEqual([0, 4, 16, 20, 24].map(narrow), [0xfff, 4096, 3, 0xffff_fffe, 1001]);
    assert.equal(wide(8), 0n);
    assert.equal(narrow(28), 0o100640, 'mode, and padding of zeros');
    // 32 ino · 40 size · 48 blocks · 56 attributes_mask (64 each)
    assert.deepEqual([32, 40, 48, 56].map(wide), [2n ** 52n + 7n, 2n ** 40n + 1n, 2n ** 33n, 0n]);
    // 64 atime · 80 btime · 96 ctime · 112 mtime: seconds (64) · nanoseconds · padding
    assert.deepEqual([64, 80, 96, 112].map(wide), [-1n, 4n, -(2n ** 33n), 2n ** 33n]);
    assert.deepEqual([72, 88, 104, 120].map(narrow), [999_999_999, 5, 2, 1]);
    // 128 rdev_major · 132 rdev_minor · 136 dev_major · 140 dev_minor · 144 spare (14 × 64)
    assert.deepEqual([128, 132, 136, 140].map(narrow), [0x123, 0x45678, 0, 0]);
    assert.deepEqual(statx.subarray(144), Buffer.alloc(112));
  });
});
