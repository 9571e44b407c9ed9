/**
 * Bytes of the extended attributes `system.posix_acl_access` and `system.posix_acl_default`, as Linux passes them
 * (linux/posix_acl_xattr.h) and as they are stored. Little-endian:
 *
 *   u32  version: 2
 *   then for each entry, in the order of the tags:
 *   u16  tag: 1 owner, 2 named user, 4 owning group, 8 named group, 16 mask, 32 others
 *   u16  permissions: 4 read, 2 write, 1 execute
 *   u32  the user or group of a named entry; 0xffffffff in other entries
 */
import { FsError } from '../base/index.ts';

/** Tags, by their names in acl(5). */
export const ACL_USER_OBJ = 1;
export const ACL_USER = 2;
export const ACL_GROUP_OBJ = 4;
export const ACL_GROUP = 8;
export const ACL_MASK = 16;
export const ACL_OTHER = 32;

const TAGS: ReadonlySet<number> = new Set([
  ACL_USER_OBJ,
  ACL_USER,
  ACL_GROUP_OBJ,
  ACL_GROUP,
  ACL_MASK,
  ACL_OTHER,
]);

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
/** The id in entries that name no user or group. */
const NO_ID = 0xffff_ffff;

export interface AclEntry {
  readonly tag: number;
  /** Bits R_OK, W_OK, X_OK. */
  readonly permissions: number;
  /** The user or group of a named entry. */
  readonly id: number;
}

export type Acl = readonly AclEntry[];

/**
 * Decodes the entries. There may be none, and they need not form a valid ACL. ENOTSUP for another version; EINVAL for
 * an incomplete header or entry, an unknown tag, or a named entry without an id.
 */
export function decodeAcl(bytes: Uint8Array): Acl {
  if (bytes.length < HEADER_BYTES) throw new FsError('EINVAL');
  const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (fields.getUint32(0, true) !== VERSION) throw new FsError('ENOTSUP');
  if ((bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) throw new FsError('EINVAL');
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    const tag = fields.getUint16(at, true);
    const permissions = fields.getUint16(at + 2, true);
    const id = fields.getUint32(at + 4, true);
    if (!TAGS.has(tag) || (isNamed(tag) && id === NO_ID)) throw new FsError('EINVAL');
    acl.push({ tag, permissions, id: isNamed(tag) ? id : NO_ID });
  }
  return acl;
}

export function encodeAcl(acl: Acl): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + acl.length * ENTRY_BYTES);
  bytes.writeUInt32LE(VERSION, 0);
  let at = HEADER_BYTES;
  for (const { tag, permissions, id } of acl) {
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(permissions, at + 2);
    bytes.writeUInt32LE(isNamed(tag) ? id : NO_ID, at + 4);
    at += ENTRY_BYTES;
  }
  return bytes;
}

function isNamed(tag: number): boolean {
  return tag === ACL_USER || tag === ACL_GROUP;
}
