/** Encoding and decoding of ACLs. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  decodeAcl,
  encodeAcl,
} from './posix-acl-format.ts';

const TAGS = [ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER];
const NO_ID = 0xffff_ffff;

/** The attribute of a file of mode 0754 after `setfacl -m u:1000:r-x`, from getxattr(2). */
const NAMED = '0200000001000700ffffffff02000500e803000004000500ffffffff10000500ffffffff20000400ffffffff';

test('an ACL is read as Linux writes it', () => {
  const acl = decodeAcl(Buffer.from(NAMED, 'hex'));
  assert.deepEqual(acl, [
    { tag: ACL_USER_OBJ, permissions: 7, id: NO_ID },
    { tag: ACL_USER, permissions: 5, id: 1000 },
    { tag: ACL_GROUP_OBJ, permissions: 5, id: NO_ID },
    { tag: ACL_MASK, permissions: 5, id: NO_ID },
    { tag: ACL_OTHER, permissions: 4, id: NO_ID },
  ]);
  assert.equal(encodeAcl(acl).toString('hex'), NAMED);
});

test('the bytes may lie anywhere in a buffer', () => {
  const bytes = Buffer.from(`ffffff${NAMED}ff`, 'hex').subarray(3, -1);
  assert.equal(encodeAcl(decodeAcl(bytes)).toString('hex'), NAMED);
});

test('the id of an entry without a user or group is ignored', () => {
  const zeroed = Buffer.from(NAMED.replaceAll('ffffffff', '00000000'), 'hex');
  assert.equal(encodeAcl(decodeAcl(zeroed)).toString('hex'), NAMED);
});

test('an ACL may have no entries', () => {
  assert.deepEqual(decodeAcl(Buffer.from('02000000', 'hex')), []);
});

test('bytes that are no ACL are refused', () => {
  const refused: [string, string][] = [
    ['', 'EINVAL'],
    ['020000', 'EINVAL'],
    ['01000000', 'ENOTSUP'],
    ['03000000', 'ENOTSUP'],
    ['02000001', 'ENOTSUP'],
    [`${NAMED}00`, 'EINVAL'],
    [NAMED.slice(0, -2), 'EINVAL'],
    [NAMED.replace('02000500e8030000', '02000500ffffffff'), 'EINVAL'],
    [NAMED.replace('02000500e8030000', '03000500e8030000'), 'EINVAL'],
    [NAMED.replace('02000500e8030000', '00000500e8030000'), 'EINVAL'],
    [NAMED.replace('02000500e8030000', '40000500e8030000'), 'EINVAL'],
  ];
  for (const [hex, code] of refused) assert.throws(() => decodeAcl(Buffer.from(hex, 'hex')), { code }, hex);
});

test('every ACL survives encoding and decoding', () => {
  const entry = fc
    .record({ tag: fc.constantFrom(...TAGS), permissions: fc.nat(0xffff), id: fc.nat(NO_ID - 1) })
    .map(({ tag, permissions, id }) => ({
      tag,
      permissions,
      id: tag === ACL_USER || tag === ACL_GROUP ? id : NO_ID,
    }));
  fc.assert(
    fc.property(fc.array(entry), (acl) => {
      assert.deepEqual(decodeAcl(encodeAcl(acl)), acl);
    }),
  );
});
