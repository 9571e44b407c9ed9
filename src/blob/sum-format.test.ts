/** The bytes of a checksum file; damage to any of them is found. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { blobId } from '../../testing/stores/scratch-space.ts';
import { DecodeError } from '../base/index.ts';
import { decodeSums, encodeSums, sumFileBytes } from './sum-format.ts';

const ID = blobId(0x12_3456_789a);

describe('checksum files', () => {
  it('decode to the encoded checksums', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), fc.nat(3), (sums, spare) => {
        const padded = BigUint64Array.from([...sums, ...new Array<bigint>(spare).fill(7n)]);
        const file = encodeSums(ID, padded, sums.length);
        assert.equal(file.length, sumFileBytes(sums.length));
        assert.deepEqual([...decodeSums(ID, file)], sums);
      }),
    );
  });

  it('have the documented bytes', () => {
    const file = encodeSums(ID, BigUint64Array.of(0x0102030405060708n), 1);
    assert.equal(file.toString('latin1', 0, 8), 'RAMETSUM');
    assert.equal(file.toString('hex', 8, 16), '0100000000000000');
    assert.equal(file.toString('hex', 16, 24), '9a78563412000000');
    assert.equal(file.toString('hex', 24, 32), '0100000000000000');
    assert.equal(file.toString('hex', 32, 40), '0807060504030201');
    assert.equal(file.length, 48);
  });

  it('are refused after any flipped bit, and when cut', () => {
    const file = encodeSums(ID, BigUint64Array.of(1n, 2n, 3n), 3);
    for (let bit = 0; bit < file.length * 8; bit++) {
      const damaged = Buffer.from(file);
      damaged[bit >>> 3]! ^= 1 << (bit & 7);
      assert.throws(() => decodeSums(ID, damaged), DecodeError, `bit ${bit}`);
    }
    for (let length = 0; length < file.length; length++) {
      assert.throws(() => decodeSums(ID, file.subarray(0, length)), DecodeError, `${length} bytes`);
    }
  });

  it('of another blob or version are refused with the reason', () => {
    const file = encodeSums(ID, BigUint64Array.of(1n), 1);
    assert.throws(() => decodeSums(blobId(5), file), /it belongs to blob 78187493530/);
    file[8] = 2;
    assert.throws(() => decodeSums(ID, file), /format version is 2, this release reads 1/);
  });
});
