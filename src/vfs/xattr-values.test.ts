/** Which values of POSIX ACLs and file capabilities are valid. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeAcl } from './posix-acl-format.ts';
import { xattrValueLack } from './xattr-values.ts';

function capability(revision: number, flags: number, lengthBytes: number): Buffer {
  const value = Buffer.alloc(lengthBytes);
  value.writeUInt32LE(revision * 0x100_0000 + flags, 0);
  return value;
}

test('file capabilities have the length of their revision, and no flag but one', () => {
  const lack = (value: Buffer) => xattrValueLack('security.capability', value);
  for (const [revision, lengthBytes] of [
    [1, 12],
    [2, 20],
    [3, 24],
  ] as const) {
    assert.equal(lack(capability(revision, 0, lengthBytes)), undefined);
    assert.equal(lack(capability(revision, 1, lengthBytes)), undefined);
    assert.notEqual(lack(capability(revision, 2, lengthBytes)), undefined);
    assert.notEqual(lack(capability(revision, 0, lengthBytes + 4)), undefined);
  }
  for (const value of [Buffer.alloc(0), Buffer.from('zz'), Buffer.alloc(20), capability(4, 0, 24)])
    assert.equal(lack(value), 'a valid set of file capabilities');
});

test('ACLs need their entries; other attributes have any value', () => {
  const entries = [1, 4, 32].map((tag) => ({ tag, permissions: 4, id: 0 }));
  for (const name of ['system.posix_acl_access', 'system.posix_acl_default']) {
    assert.equal(xattrValueLack(name, encodeAcl(entries)), undefined);
    for (const value of [Buffer.from('bad'), encodeAcl([]), encodeAcl(entries.slice(1))])
      assert.equal(xattrValueLack(name, value), 'a valid POSIX ACL');
  }
  for (const name of ['user.a', 'security.selinux', 'trusted.t'])
    assert.equal(xattrValueLack(name, Buffer.from('zz')), undefined);
});
