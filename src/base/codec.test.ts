/** ByteReader reads what ByteWriter wrote, and refuses damaged bytes rather than misread them. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ByteReader, ByteWriter, DecodeError } from './codec.ts';

const unsigned = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(0, 127, 128, 2 ** 32, Number.MAX_SAFE_INTEGER),
);

test('every field reads back as it was written', () => {
  fc.assert(
    fc.property(
      unsigned,
      fc.maxSafeInteger(),
      fc.uint8Array(),
      fc.nat(255),
      (whole, signed, bytes, small) => {
        const text = Buffer.from(bytes).toString('latin1');
        const writer = new ByteWriter(1)
          .u8(small)
          .u32(small * 70_000)
          .u64(whole)
          .i64(signed);
        writer.varint(whole).byteString(text).bytes(bytes);
        const reader = new ByteReader(writer.take());
        assert.deepEqual([reader.u8(), reader.u32()], [small, small * 70_000]);
        assert.deepEqual([reader.u64(), reader.i64(), reader.varint()], [whole, signed, whole]);
        assert.equal(reader.byteString(), text);
        assert.deepEqual(reader.bytes(), Buffer.from(bytes));
        assert.ok(reader.isAtEnd);
      },
    ),
  );
});

test('bytes that end early give a DecodeError at every length', () => {
  const whole = new ByteWriter().u64(5).varint(300).byteString('name').take();
  for (let length = 0; length < whole.length; length++) {
    const reader = new ByteReader(whole.subarray(0, length));
    assert.throws(() => [reader.u64(), reader.varint(), reader.byteString()], DecodeError);
  }
});

test('numbers beyond 2^53 and endless varints are refused', () => {
  assert.throws(() => new ByteReader(Buffer.alloc(8, 0xff)).u64(), DecodeError);
  assert.throws(() => new ByteReader(Buffer.from('0000000000000080', 'hex')).i64(), DecodeError);
  assert.throws(() => new ByteReader(Buffer.alloc(20, 0xff)).varint(), DecodeError);
});

test('a writer overwrites its bytes after a reset', () => {
  const writer = new ByteWriter().byteString('first');
  assert.deepEqual(writer.reset().u8(7).take(), Buffer.from([7]));
});
