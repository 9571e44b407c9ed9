/** Keys sort like their parts, and a key can be described in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionError } from '../base/index.ts';
import { describeKey, INO_AT, KeyWriter, keyNumber, LAYER_AT, TABLE } from './key-format.ts';

const numberArbitrary = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constant(2 ** 32),
  fc.constant(2 ** 32 - 1),
);

function dentryKey(layer: number, directory: number, name: string): Buffer {
  return Buffer.from(new KeyWriter().start(TABLE.dentry).u64(layer).u64(directory).name(name).view());
}

test('property: byte order of keys is the order of layer, directory, name', () => {
  const part = fc.tuple(numberArbitrary, numberArbitrary, fc.string({ minLength: 1, maxLength: 5 }));
  fc.assert(
    fc.property(part, part, (a, b) => {
      const expected = a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : a[2] > b[2] ? 1 : 0);
      const found = Buffer.compare(dentryKey(...a), dentryKey(...b));
      assert.equal(Math.sign(found), Math.sign(expected));
    }),
  );
});

test('property: the numbers in a key are read back', () => {
  fc.assert(
    fc.property(numberArbitrary, numberArbitrary, (layer, ino) => {
      const key = new KeyWriter().start(TABLE.inode).u64(layer).u64(ino).view();
      assert.deepEqual([keyNumber(key, LAYER_AT), keyNumber(key, INO_AT)], [layer, ino]);
    }),
  );
});

test('parts that do not fit into a key are refused', () => {
  const key = new KeyWriter();
  for (const value of [-1, 2 ** 53, Number.NaN]) assert.throws(() => key.start(1).u64(value), AssertionError);
  for (const name of ['', 'x'.repeat(256)]) assert.throws(() => key.start(1).name(name), AssertionError);
  assert.throws(() => key.start(1).raw(Buffer.alloc(300)), AssertionError);
});

test('a key is described in words', () => {
  const key = new KeyWriter();
  const described = (writer: KeyWriter) => describeKey(Buffer.from(writer.view()));
  assert.equal(described(key.start(TABLE.inode).u64(3).u64(17)), 'inode row of layer 3, inode 17');
  assert.equal(
    described(key.start(TABLE.dentry).u64(3).u64(17).name('a\u0001b')),
    "dentry row of layer 3, directory 17, name 'a\uFFFDb'",
  );
  assert.equal(
    described(key.start(TABLE.extent).u64(3).u64(17).u32(5)),
    'extent row of layer 3, inode 17, chunk 5',
  );
  assert.equal(described(key.start(TABLE.layer).u64(9)), 'layer row of layer 9');
  assert.equal(described(key.start(TABLE.blob).u64(9)), 'blob row of blob 9');
  assert.equal(described(key.start(TABLE.dropped).u64(9)), 'dropped row of blob 9');
  assert.equal(described(key.start(TABLE.tree).raw(Buffer.from('übung'))), "tree row 'übung'");
  assert.equal(described(key.start(TABLE.counter).name('epoch')), "counter row 'epoch'");
  assert.match(described(key.start(TABLE.content).raw(Buffer.alloc(32, 1)).u64(5)), /SHA-256 (01){32}$/);
  assert.equal(described(key.start(77).u32(1)), 'row with the unknown key 4d00000001');
  assert.equal(described(key.start(TABLE.inode).u32(1)), 'inode row with the key 0300000001');
  assert.equal(described(key.start(TABLE.layer)), 'layer row with the key 01');
});
