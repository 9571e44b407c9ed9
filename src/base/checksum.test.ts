/** The checksum, compared with published values of xxHash64. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKSUM_BYTES, checksum64, isChecksum, writeChecksum } from './checksum.ts';

test('checksum64 gives the values of the reference implementation', () => {
  assert.equal(checksum64(new Uint8Array(0)), 0xef46db3751d8e999n);
  assert.equal(checksum64(Buffer.from('a')), 0xd24ec4f1a98c6e5bn);
  assert.equal(checksum64(Buffer.from('abc')), 0x44bc2cf5ad770999n);
});

test('checksum64 depends on the seed, on every byte and on the length', () => {
  const bytes = Buffer.alloc(4096, 7);
  const seen = new Set([checksum64(bytes), checksum64(bytes, 1n), checksum64(bytes.subarray(1))]);
  for (const at of [0, 31, 32, 4095]) {
    const flipped = Buffer.from(bytes);
    flipped[at]! ^= 1;
    seen.add(checksum64(flipped));
  }
  assert.equal(seen.size, 7);
});

test('writeChecksum stores eight little-endian bytes, which isChecksum accepts', () => {
  const target = Buffer.alloc(CHECKSUM_BYTES + 2, 0xaa);
  writeChecksum(target, 1, Buffer.from('abc'));
  assert.equal(target.readBigUInt64LE(1), 0x44bc2cf5ad770999n);
  assert.equal(target[0], 0xaa);
  assert.equal(target[9], 0xaa);
  assert.ok(isChecksum(target, 1, Buffer.from('abc')));
  assert.ok(!isChecksum(target, 1, Buffer.from('abd')));
  assert.ok(!isChecksum(target, 1, Buffer.from('abc'), 1n));
  target[5]! ^= 0x10;
  assert.ok(!isChecksum(target, 1, Buffer.from('abc')));
});

test('a checksum that does not fit is refused', () => {
  assert.throws(() => writeChecksum(Buffer.alloc(8), 1, Buffer.from('abc')), RangeError);
  assert.equal(isChecksum(Buffer.alloc(8), 1, Buffer.from('abc')), false);
});
