/** Attributes of inodes as the kernel wants them: struct fuse_attr, fuse_entry_out, fuse_attr_out, fuse_statx. */
import type { Attributes } from '../vfs/index.ts';
import { ROOT_ID } from './abi.ts';
import type { Reply } from './reply.ts';

/**
 * How long the kernel may keep names and attributes: every change comes through the owner of the mount, which tells the
 * kernel what it could not know itself. Seconds.
 */
export const VALID_SECONDS = 365 * 86_400;

/** As above, for what a host tree says, which changes behind the owner's back. */
export const HOST_VALID_SECONDS = 1;

export const ENTRY_BYTES = 128;
export const ATTR_OUT_BYTES = 104;
export const STATX_OUT_BYTES = 288;

/**
 * struct fuse_attr, 88 bytes: ino, size, blocks, atime, mtime, ctime (64 each) · atimensec, mtimensec, ctimensec, mode,
 * nlink, uid, gid, rdev, blksize, flags (32 each).
 */
export function putAttributes(reply: Reply, at: number, of: Attributes): void {
  reply.setU64(at, of.ino);
  reply.setU64(at + 8, of.size);
  reply.setU64(at + 16, of.blocks);
  reply.setU64(at + 24, of.atimeSeconds);
  reply.setU64(at + 32, of.mtimeSeconds);
  reply.setU64(at + 40, of.ctimeSeconds);
  reply.setU32(at + 48, of.atimeNanoseconds);
  reply.setU32(at + 52, of.mtimeNanoseconds);
  reply.setU32(at + 56, of.ctimeNanoseconds);
  reply.setU32(at + 60, of.mode);
  reply.setU32(at + 64, of.nlink);
  reply.setU32(at + 68, of.uid);
  reply.setU32(at + 72, of.gid);
  reply.setU32(at + 76, of.rdev);
  reply.setU32(at + 80, of.blksize);
  reply.setU32(at + 84, 0);
}

/** struct fuse_attr_out: attr_valid (64) · attr_valid_nsec · dummy · attr. */
export function putAttrOut(reply: Reply, of: Attributes, validSeconds: number = VALID_SECONDS): void {
  reply.zeros(ATTR_OUT_BYTES);
  reply.setU64(0, validSeconds);
  putAttributes(reply, 16, of);
}

/**
 * struct fuse_entry_out: nodeid, generation, entry_valid, attr_valid (64 each) · entry_valid_nsec, attr_valid_nsec (32
 * each) · attr. Numbers of inodes are never used again, so there is one generation.
 */
export function putEntry(
  reply: Reply,
  at: number,
  of: Attributes,
  isRoot: boolean,
  validSeconds: number = VALID_SECONDS,
): void {
  reply.setU64(at, isRoot ? ROOT_ID : of.ino);
  reply.setU64(at + 8, 0);
  reply.setU64(at + 16, validSeconds);
  reply.setU64(at + 24, validSeconds);
  reply.setU64(at + 32, 0);
  putAttributes(reply, at + 40, of);
}

/** An entry without a node: there is no such name, and the kernel may remember that. */
export function putMissing(reply: Reply, validSeconds: number = VALID_SECONDS): void {
  reply.zeros(ENTRY_BYTES);
  reply.setU64(16, validSeconds);
}

/** STATX_BASIC_STATS | STATX_BTIME. */
const STATX_MASK = 0xfff;

/**
 * struct fuse_statx_out: attr_valid (64) · attr_valid_nsec · flags · spare (2 × 64) · struct fuse_statx, 256 bytes:
 * mask, blksize (32) · attributes (64) · nlink, uid, gid (32) · mode (16) and padding · ino, size, blocks,
 * attributes_mask (64) · atime, btime, ctime, mtime (seconds 64, nanoseconds 32, padding) · rdev and dev, major and
 * minor (32 each).
 */
export function putStatx(reply: Reply, of: Attributes, validSeconds: number = VALID_SECONDS): void {
  reply.zeros(STATX_OUT_BYTES);
  reply.setU64(0, validSeconds);
  const at = 32;
  reply.setU32(at, STATX_MASK);
  reply.setU32(at + 4, of.blksize);
  reply.setU32(at + 16, of.nlink);
  reply.setU32(at + 20, of.uid);
  reply.setU32(at + 24, of.gid);
  reply.setU16(at + 28, of.mode);
  reply.setU64(at + 32, of.ino);
  reply.setU64(at + 40, of.size);
  reply.setU64(at + 48, of.blocks);
  putTime(reply, at + 64, of.atimeSeconds, of.atimeNanoseconds);
  putTime(reply, at + 80, of.birthSeconds, of.birthNanoseconds);
  putTime(reply, at + 96, of.ctimeSeconds, of.ctimeNanoseconds);
  putTime(reply, at + 112, of.mtimeSeconds, of.mtimeNanoseconds);
  // new_encode_dev(3): the kernel splits a 32-bit rdev as minor 0-7, major 8-19, minor 20-31.
  reply.setU32(at + 128, (of.rdev >>> 8) & 0xfff);
  reply.setU32(at + 132, (of.rdev & 0xff) | ((of.rdev >>> 12) & 0xfff00));
}

function putTime(reply: Reply, at: number, seconds: number, nanoseconds: number): void {
  reply.setU64(at, seconds);
  reply.setU32(at + 8, nanoseconds);
}
