/** Answers against bytes written by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Reply } from './reply.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A reply in a buffer of old bytes. */
function newReply(length = 64): Reply {
  return new Reply(Buffer.alloc(length, 0xaa));
}

describe('a reply', () => {
  it('is a header, then the payload', () => {
    const reply = newReply().zeros(24);
    reply.setU32(0, 0xfedc_ba98);
    reply.setU64(8, 2 ** 52 + 1);
    reply.setU16(18, 0x1234);
    const length = reply.finish(0, 0x5566_7788, 0xffff_ffff);
    assert.equal(length, 40);
    // struct fuse_out_header: 0 len · 4 error · 8 unique (64).
    assert.equal(hex(reply.bytes.subarray(0, 16)), '28000000' + '00000000' + '88776655' + 'ffffffff');
    assert.equal(
      hex(reply.bytes.subarray(16, 40)),
      '98badcfe' + '00000000' + '0100000000001000' + '0000' + '3412' + '00000000',
    );
    assert.equal(reply.bytes[40], 0xaa, 'nothing is written after the end');
  });

  it('has negative numbers as 64 bits of two’s complement', () => {
    const reply = newReply().zeros(24);
    reply.setU64(0, -1);
    reply.setU64(8, -(2 ** 32));
    reply.setU64(16, -(2 ** 40) - 5);
    assert.equal(
      hex(reply.bytes.subarray(16, 40)),
      'ffffffffffffffff' + '00000000ffffffff' + 'fbfffffffffeffff',
    );
  });

  it('of a failure is the header alone, with the negative errno', () => {
    const reply = newReply().zeros(24);
    assert.equal(reply.finish(38, 1, 0), 16);
    assert.equal(hex(reply.bytes.subarray(0, 16)), '10000000' + 'daffffff' + '01000000' + '00000000');
  });

  it('has text and bytes at any place', () => {
    const reply = newReply().zeros(12);
    reply.setText(1, 'a\u00ff');
    reply.setBytes(5, Buffer.from([1, 2, 3]));
    assert.equal(hex(reply.bytes.subarray(16, 28)), '0061ff000001020300000000');
  });

  it('can be cleared in part', () => {
    const reply = newReply();
    reply.fill(4, 8);
    assert.equal(hex(reply.bytes.subarray(16, 32)), `aaaaaaaa${'00'.repeat(8)}aaaaaaaa`);
  });

  it('knows its capacity', () => {
    assert.equal(newReply(4096).capacityBytes, 4080);
  });
});
