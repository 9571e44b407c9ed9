/** Writes attributes of inodes into the kernel's structures fuse_attr, fuse_entry_out, fuse_attr_out and fuse_statx. */
import type { Attributes } from '../vfs/index.ts';
import { ATTR, ATTR_OUT, ENTRY_OUT, ROOT_ID, STATX, STATX_OUT, SX_TIME } from './abi.ts';
import type { Reply } from './reply.ts';

/** How long the kernel may keep names and attributes: a year, because the owner makes all changes and reports them. */
export const VALID_SECONDS = 365 * 86_400;

/** The same for names and attributes of a host tree, which changes without the owner's knowledge. */
export const HOST_VALID_SECONDS = 1;

function putAttributes(reply: Reply, at: number, of: Attributes): void {
  reply.setU64(at + ATTR.ino, of.ino);
  reply.setU64(at + ATTR.size, of.size);
  reply.setU64(at + ATTR.blocks, of.blocks);
  reply.setU64(at + ATTR.atime, of.atimeSeconds);
  reply.setU64(at + ATTR.mtime, of.mtimeSeconds);
  reply.setU64(at + ATTR.ctime, of.ctimeSeconds);
  reply.setU32(at + ATTR.atimensec, of.atimeNanoseconds);
  reply.setU32(at + ATTR.mtimensec, of.mtimeNanoseconds);
  reply.setU32(at + ATTR.ctimensec, of.ctimeNanoseconds);
  reply.setU32(at + ATTR.mode, of.mode);
  reply.setU32(at + ATTR.nlink, of.nlink);
  reply.setU32(at + ATTR.uid, of.uid);
  reply.setU32(at + ATTR.gid, of.gid);
  reply.setU32(at + ATTR.rdev, of.rdev);
  reply.setU32(at + ATTR.blksize, of.blksize);
  reply.setU32(at + ATTR.flags, 0);
}

export function putAttrOut(reply: Reply, of: Attributes, validSeconds: number = VALID_SECONDS): void {
  reply.zeros(ATTR_OUT.bytes);
  reply.setU64(ATTR_OUT.attrValid, validSeconds);
  putAttributes(reply, ATTR_OUT.attr, of);
}

/** Writes an entry. Its generation is always 0, because no inode number is ever used again. */
export function putEntry(
  reply: Reply,
  at: number,
  of: Attributes,
  isRoot: boolean,
  validSeconds: number = VALID_SECONDS,
): void {
  reply.setU64(at + ENTRY_OUT.nodeid, isRoot ? ROOT_ID : of.ino);
  reply.setU64(at + ENTRY_OUT.generation, 0);
  reply.setU64(at + ENTRY_OUT.entryValid, validSeconds);
  reply.setU64(at + ENTRY_OUT.attrValid, validSeconds);
  reply.setU32(at + ENTRY_OUT.entryValidNsec, 0);
  reply.setU32(at + ENTRY_OUT.attrValidNsec, 0);
  putAttributes(reply, at + ENTRY_OUT.attr, of);
}

/** Writes an entry without a node: the name does not exist, and the kernel may remember that. */
export function putMissing(reply: Reply, validSeconds: number = VALID_SECONDS): void {
  reply.zeros(ENTRY_OUT.bytes);
  reply.setU64(ENTRY_OUT.entryValid, validSeconds);
}

/** STATX_BASIC_STATS | STATX_BTIME. */
const STATX_MASK = 0xfff;

export function putStatx(reply: Reply, of: Attributes, validSeconds: number = VALID_SECONDS): void {
  reply.zeros(STATX_OUT.bytes);
  reply.setU64(STATX_OUT.attrValid, validSeconds);
  const at = STATX_OUT.stat;
  reply.setU32(at + STATX.mask, STATX_MASK);
  reply.setU32(at + STATX.blksize, of.blksize);
  reply.setU32(at + STATX.nlink, of.nlink);
  reply.setU32(at + STATX.uid, of.uid);
  reply.setU32(at + STATX.gid, of.gid);
  reply.setU16(at + STATX.mode, of.mode);
  reply.setU64(at + STATX.ino, of.ino);
  reply.setU64(at + STATX.size, of.size);
  reply.setU64(at + STATX.blocks, of.blocks);
  putTime(reply, at + STATX.atime, of.atimeSeconds, of.atimeNanoseconds);
  putTime(reply, at + STATX.btime, of.birthSeconds, of.birthNanoseconds);
  putTime(reply, at + STATX.ctime, of.ctimeSeconds, of.ctimeNanoseconds);
  putTime(reply, at + STATX.mtime, of.mtimeSeconds, of.mtimeNanoseconds);
  // include/linux/kdev_t.h, new_encode_dev: of a 32-bit rdev, bits 8-19 are the major number, bits 0-7 and 20-31 the
  // minor number.
  reply.setU32(at + STATX.rdevMajor, (of.rdev >>> 8) & 0xfff);
  reply.setU32(at + STATX.rdevMinor, (of.rdev & 0xff) | ((of.rdev >>> 12) & 0xfff00));
}

function putTime(reply: Reply, at: number, seconds: number, nanoseconds: number): void {
  reply.setU64(at + SX_TIME.tvSec, seconds);
  reply.setU32(at + SX_TIME.tvNsec, nanoseconds);
}
