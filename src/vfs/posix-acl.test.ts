/** ACLs against a naive model: a record with a field for each kind of entry, read by the words of acl(5). */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Credentials } from './caller.ts';
import { inherit, isAllowedBy, isMinimal, modeOf, requireValid, withMode } from './posix-acl.ts';
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  type Acl,
  type AclEntry,
} from './posix-acl-format.ts';

interface ModelAcl {
  readonly owner: number;
  readonly users: ReadonlyMap<number, number>;
  readonly group: number;
  readonly groups: ReadonlyMap<number, number>;
  readonly mask: number | undefined;
  readonly others: number;
}

const NO_ID = 0xffff_ffff;
/** Letters for the tags, so that a regular expression can say which orders are valid. */
const LETTERS: readonly [number, string][] = [
  [ACL_USER_OBJ, 'U'],
  [ACL_USER, 'u'],
  [ACL_GROUP_OBJ, 'G'],
  [ACL_GROUP, 'g'],
  [ACL_MASK, 'M'],
  [ACL_OTHER, 'O'],
];

function entry(tag: number, permissions: number, id = NO_ID): AclEntry {
  return { tag, permissions, id };
}

function entriesOf(model: ModelAcl): Acl {
  const { owner, users, group, groups, mask, others } = model;
  return [
    entry(ACL_USER_OBJ, owner),
    ...[...users].map(([id, permissions]) => entry(ACL_USER, permissions, id)),
    entry(ACL_GROUP_OBJ, group),
    ...[...groups].map(([id, permissions]) => entry(ACL_GROUP, permissions, id)),
    ...(mask === undefined ? [] : [entry(ACL_MASK, mask)]),
    entry(ACL_OTHER, others),
  ];
}

const permissions = fc.nat(7);
const id = fc.nat(5);
const named = fc.array(fc.tuple(id, permissions), { maxLength: 3 }).map((pairs) => new Map(pairs));
const model: fc.Arbitrary<ModelAcl> = fc
  .record({
    owner: permissions,
    users: named,
    group: permissions,
    groups: named,
    mask: permissions,
    hasMask: fc.boolean(),
    others: permissions,
  })
  .map(({ hasMask, ...acl }) => ({
    ...acl,
    mask: hasMask || acl.users.size + acl.groups.size > 0 ? acl.mask : undefined,
  }));
const mode = fc.nat(0o7777);

test('in a valid ACL tags are in order and unique, except named entries, which need a mask', () => {
  const tags = fc.array(fc.constantFrom(...LETTERS), { maxLength: 7 });
  const shuffledValid = fc
    .tuple(fc.nat(2), fc.nat(2), fc.boolean(), fc.boolean())
    .map(([users, groups, hasMask, isSwapped]) => {
      const text = `U${'u'.repeat(users)}G${'g'.repeat(groups)}${hasMask ? 'M' : ''}O`;
      const letters = isSwapped ? [...text].reverse() : [...text];
      return letters.map((letter) => LETTERS.find(([, known]) => known === letter)!);
    });
  let validCount = 0;
  fc.assert(
    fc.property(fc.oneof(tags, shuffledValid), (drawn) => {
      const text = drawn.map(([, letter]) => letter).join('');
      const isValid = /^U(u*G(g+|)M|G)O$/.test(text);
      const acl = drawn.map(([tag]) => entry(tag, 7, 1));
      if (isValid) {
        validCount++;
        requireValid(acl);
      } else assert.throws(() => requireValid(acl), { code: 'EINVAL' }, text);
    }),
    { numRuns: 1000 },
  );
  assert.ok(validCount > 20, 'some of the drawn ACLs are valid');
});

test('permissions beyond read, write and execute are refused', () => {
  for (const bits of [8, 0x100, 0xffff]) {
    const acl = [entry(ACL_USER_OBJ, bits), entry(ACL_GROUP_OBJ, 0), entry(ACL_OTHER, 0)];
    assert.throws(() => requireValid(acl), { code: 'EINVAL' });
  }
});

test('the mode of an ACL has the mask, or the owning group where there is none', () => {
  fc.assert(
    fc.property(model, (acl) => {
      const { owner, group, mask, others } = acl;
      requireValid(entriesOf(acl));
      assert.equal(modeOf(entriesOf(acl)), owner * 64 + (mask ?? group) * 8 + others);
      assert.equal(isMinimal(entriesOf(acl)), mask === undefined);
    }),
  );
});

test('chmod changes the entries that the mode shows, and no other', () => {
  fc.assert(
    fc.property(model, mode, (acl, bits) => {
      const group = (bits >> 3) & 7;
      const expected: ModelAcl = {
        ...acl,
        owner: (bits >> 6) & 7,
        others: bits & 7,
        ...(acl.mask === undefined ? { group } : { mask: group }),
      };
      const changed = withMode(entriesOf(acl), bits);
      assert.deepEqual(changed, entriesOf(expected));
      assert.equal(modeOf(changed), bits & 0o777);
    }),
  );
});

test('an inherited ACL has the permissions that both the default ACL and the requested mode allow', () => {
  fc.assert(
    fc.property(model, mode, (acl, bits) => {
      const group = (bits >> 3) & 7;
      const expected: ModelAcl = {
        ...acl,
        owner: acl.owner & (bits >> 6),
        others: acl.others & bits,
        ...(acl.mask === undefined ? { group: acl.group & group } : { mask: acl.mask & group }),
      };
      const inherited = inherit(entriesOf(acl), bits);
      assert.equal(inherited.mode, (bits & 0o7000) | modeOf(entriesOf(expected)));
      assert.deepEqual(inherited.acl, acl.mask === undefined ? undefined : entriesOf(expected));
    }),
  );
});

/** The algorithm of acl(5), "Access check algorithm", step by step. */
function isAllowedByModel(
  acl: ModelAcl,
  who: Credentials,
  owner: Pick<Credentials, 'uid' | 'gid'>,
  wanted: number,
): boolean {
  const grants = (bits: number | undefined) => bits !== undefined && (bits & wanted) === wanted;
  const mask = acl.mask ?? 7;
  if (who.uid === owner.uid) return grants(acl.owner);
  if (acl.users.has(who.uid)) return grants(acl.users.get(who.uid)! & mask);
  const memberships = [who.gid, ...who.groups];
  const matching = memberships.filter((gid) => acl.groups.has(gid)).map((gid) => acl.groups.get(gid)!);
  if (memberships.includes(owner.gid)) matching.push(acl.group);
  if (matching.length > 0) return matching.some((bits) => grants(bits & mask));
  return grants(acl.others);
}

test('access is what the algorithm of acl(5) gives', () => {
  const who = fc.record({ uid: id, gid: id, groups: fc.array(id, { maxLength: 3 }) });
  const owner = fc.record({ uid: id, gid: id });
  const answers = new Set<boolean>();
  fc.assert(
    fc.property(model, who, owner, permissions, (acl, credentials, ownership, wanted) => {
      const isAllowed = isAllowedBy(entriesOf(acl), credentials, ownership, wanted);
      answers.add(isAllowed);
      assert.equal(isAllowed, isAllowedByModel(acl, credentials, ownership, wanted));
    }),
    { numRuns: 2000 },
  );
  assert.equal(answers.size, 2);
});

test('of two entries for one user the first counts, as in Linux', () => {
  const acl = [
    entry(ACL_USER_OBJ, 7),
    entry(ACL_USER, 4, 1),
    entry(ACL_USER, 7, 1),
    entry(ACL_GROUP_OBJ, 0),
    entry(ACL_MASK, 7),
    entry(ACL_OTHER, 0),
  ];
  requireValid(acl);
  const who = { uid: 1, gid: 1, groups: [] };
  assert.equal(isAllowedBy(acl, who, { uid: 0, gid: 0 }, 4), true);
  assert.equal(isAllowedBy(acl, who, { uid: 0, gid: 0 }, 2), false);
});
