/**
 * The ACLs of inodes. They are stored as the extended attributes by which Linux knows them. An inode whose record names
 * no layer with attributes has none, so trees without ACLs are never searched for them.
 */
import { FsError } from '../base/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { requireValid } from './posix-acl.ts';
import { type Acl, decodeAcl } from './posix-acl-format.ts';
import type { ACCESS_ACL, DEFAULT_ACL } from './xattr-names.ts';

export type AclName = typeof ACCESS_ACL | typeof DEFAULT_ACL;

/** Undefined when the inode has none of this name. EIO when what is stored is no ACL, as an import may bring in. */
export function aclOf(stack: LayerStack, inode: Inode, name: AclName): Acl | undefined {
  if (inode.record.xattrLayer === 0) return undefined;
  const value = stack.xattrsOf(inode).get(name);
  if (value === undefined) return undefined;
  try {
    const acl = decodeAcl(value);
    requireValid(acl);
    return acl;
  } catch {
    throw new FsError('EIO', { note: `the stored ${name} is no valid ACL` });
  }
}
