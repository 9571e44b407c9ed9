/** For tests: ACLs as text, in the short form of acl(5) with numbers: `u::rwx,u:1000:r-x,g::r-x,m::rwx,o::r--`. */
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  decodeAcl,
  encodeAcl,
} from '../../src/vfs/posix-acl-format.ts';

const LETTERS = new Map([
  [ACL_USER_OBJ, 'u'],
  [ACL_USER, 'u'],
  [ACL_GROUP_OBJ, 'g'],
  [ACL_GROUP, 'g'],
  [ACL_MASK, 'm'],
  [ACL_OTHER, 'o'],
]);

/** The value of the extended attribute that the text stands for, in the order of the text. */
export function aclFromText(text: string): Buffer {
  const acl = text.split(',').map((part) => {
    const [letter, who, bits] = part.split(':');
    const isNamed = who !== '';
    const tags = [...LETTERS].filter(([, known]) => known === letter).map(([tag]) => tag);
    const tag = isNamed ? tags[1] : tags[0];
    if (tag === undefined || bits === undefined) throw new Error(`no entry of an ACL: ${part}`);
    const permissions = ['r', 'w', 'x'].reduce((sum, bit) => sum * 2 + (bits.includes(bit) ? 1 : 0), 0);
    return { tag, permissions, id: isNamed ? Number(who) : 0 };
  });
  return encodeAcl(acl);
}

export function aclToText(value: Uint8Array): string {
  const parts = decodeAcl(value).map(({ tag, permissions, id }) => {
    const who = tag === ACL_USER || tag === ACL_GROUP ? id : '';
    const bits = ['r', 'w', 'x'].map((bit, at) => ((permissions & (4 >> at)) === 0 ? '-' : bit)).join('');
    return `${LETTERS.get(tag)}:${who}:${bits}`;
  });
  return parts.join(',');
}
