/** Values that Linux refuses for extended attributes whose value has a form: POSIX ACLs and file capabilities. */
import { requireValid } from './posix-acl.ts';
import { decodeAcl } from './posix-acl-format.ts';
import { isAclName } from './xattr-names.ts';

const CAPABILITY = 'security.capability';
/** The length of a `vfs_cap_data` by its revision: linux/capability.h. */
const CAPABILITY_BYTES: ReadonlyMap<number, number> = new Map([
  [1, 12],
  [2, 20],
  [3, 24],
]);
/** The only flag beside the revision: VFS_CAP_FLAGS_EFFECTIVE. */
const EFFECTIVE = 1;

/**
 * What a value would have to be for an attribute of this name ('a valid POSIX ACL'); undefined if Linux takes it. ACLs
 * that have no entries are not valid, because Linux stores none.
 */
export function xattrValueLack(name: string, value: Buffer): string | undefined {
  if (name === CAPABILITY) return isCapability(value) ? undefined : 'a valid set of file capabilities';
  return isAclName(name) && !isAcl(value) ? 'a valid POSIX ACL' : undefined;
}

function isCapability(value: Buffer): boolean {
  if (value.length < 4) return false;
  const revision = value.readUInt8(3);
  const flags = value.readUIntLE(0, 3);
  return (flags & ~EFFECTIVE) === 0 && CAPABILITY_BYTES.get(revision) === value.length;
}

function isAcl(value: Buffer): boolean {
  try {
    requireValid(decodeAcl(value));
    return true;
  } catch {
    return false;
  }
}
