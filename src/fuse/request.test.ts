/** Requests against bytes written by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFsError } from '../base/index.ts';
import { Request } from './request.ts';

/** struct fuse_in_header, 40 bytes, then arguments. */
function requestOf(args: Buffer, lengthBytes = 40 + args.length): Request {
  const header = Buffer.from(
    // 0 len, set below · 4 opcode 15 · 8 unique 0x1122334455667788 · 16 nodeid 2^52 + 3
    `00000000 0f000000 8877665544332211 0300000000001000${
      // 24 uid 0xfffffffe · 28 gid 1000 · 32 pid 77 · 36 total_extlen 0, padding
      'feffffff e8030000 4d000000 00000000'
    }`.replaceAll(' ', ''),
    'hex',
  );
  header.writeUInt32LE(lengthBytes, 0);
  // A zero byte far after the end: no name may reach it.
  const request = new Request(Buffer.concat([header, args, Buffer.from('stale\0bytes\0')]));
  assert.equal(request.begin(lengthBytes), true);
  return request;
}

const isInvalid = (error: unknown) => isFsError(error, 'EINVAL');

describe('a request', () => {
  it('is read field by field', () => {
    const request = requestOf(Buffer.alloc(0));
    assert.deepEqual(
      [request.opcode, request.uniqueLow, request.uniqueHigh, request.nodeId],
      [15, 0x5566_7788, 0x1122_3344, 2 ** 52 + 3],
    );
    assert.deepEqual([request.uid, request.gid, request.pid], [0xffff_fffe, 1000, 77]);
  });

  it('is whole only when it is as long as it says, and has its header', () => {
    const request = requestOf(Buffer.alloc(8));
    assert.equal(request.begin(48), true);
    assert.equal(request.begin(47), false);
    assert.equal(request.begin(49), false);
    request.bytes.writeUInt32LE(39, 0);
    assert.equal(request.begin(39), false);
    request.bytes.writeUInt32LE(40, 0);
    assert.equal(request.begin(40), true);
  });

  it('has numbers of 32 bits and of 64, signed and unsigned', () => {
    const args = Buffer.from(
      'ffffffff 78561200 feffffffffffffff 0000000000000080'.replaceAll(' ', ''),
      'hex',
    );
    const request = requestOf(args);
    assert.equal(request.u32(0), 0xffff_ffff);
    assert.equal(request.u32(4), 0x12_5678);
    assert.equal(request.u64(0), 0x12_5678_ffff_ffff);
    assert.equal(request.i64(8), -2);
    assert.equal(request.i64(16), -(2 ** 63));
    assert.equal(request.u64(16), 2 ** 63);
  });

  it('refuses arguments that are too short', () => {
    const request = requestOf(Buffer.alloc(8));
    request.need(8);
    assert.throws(() => request.need(9), isInvalid);
  });

  it('has names of any bytes, one after the other', () => {
    const request = requestOf(Buffer.from('0000000061ff2f00620000', 'hex'));
    assert.equal(request.name(4), 'a\u00ff/');
    assert.equal(request.afterName(4), 8);
    assert.equal(request.name(8), 'b');
    assert.equal(request.name(10), '');
  });

  it('refuses a name without a zero byte before the end of the request', () => {
    const request = requestOf(Buffer.from('name'));
    assert.throws(() => request.name(0), isInvalid);
    assert.throws(() => request.afterName(0), isInvalid);
    assert.throws(() => request.name(4), isInvalid, 'a name that begins at the end');
    assert.throws(() => request.name(5), isInvalid, 'a name that begins after the end');
    assert.throws(() => request.name(1 << 20), isInvalid, 'a name that begins after the buffer');
  });

  it('returns bytes in place', () => {
    const request = requestOf(Buffer.from([1, 2, 3, 4]));
    assert.deepEqual([...request.argument(1, 2)], [2, 3]);
    request.bytes[41] = 9;
    assert.deepEqual([...request.argument(1, 2)], [9, 3]);
  });
});
