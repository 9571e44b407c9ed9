/**
 * INIT: the first request of a mount, in which both sides say what they can.
 *
 * struct fuse_init_in: major, minor, max_readahead, flags, flags2, unused (11 × 32). Answered with struct
 * fuse_init_out, 64 bytes: major, minor, max_readahead, flags (32 each) · max_background, congestion_threshold (16) ·
 * max_write, time_gran (32) · max_pages, map_alignment (16) · flags2, max_stack_depth (32) · request_timeout (16),
 * unused.
 */
import { FsError } from '../base/index.ts';
import { Init, Init2, KERNEL_MINOR_VERSION, KERNEL_VERSION, MINOR_VERSION_MIN } from './abi.ts';
import type { Handler } from './handler.ts';
import type { IoMode } from './mount-server.ts';

/** Bytes of one WRITE, and pages of one READ: 256 pages are the most that the kernel takes without a sysctl. */
export const MAX_WRITE_BYTES = 1024 * 1024;
const MAX_PAGES = 256;
const MAX_BACKGROUND = 64;
const CONGESTION_THRESHOLD = 48;
const INIT_OUT_BYTES = 64;

/**
 * What is asked for in every mode. Left out on purpose: ATOMIC_O_TRUNC (without OPEN the truncation would be lost),
 * locks (the kernel's own are right), WRITEBACK_CACHE (what the kernel holds is lost when the owner dies).
 * AUTO_INVAL_DATA, by which pages and listings go when their times have changed, is for trees over a host tree alone:
 * each write drops the file's pages.
 */
const WANTED =
  Init.ASYNC_READ |
  Init.EXPORT_SUPPORT |
  Init.BIG_WRITES |
  Init.DONT_MASK |
  Init.DO_READDIRPLUS |
  Init.READDIRPLUS_AUTO |
  Init.ASYNC_DIO |
  Init.PARALLEL_DIROPS |
  Init.POSIX_ACL |
  Init.ABORT_ERROR |
  Init.MAX_PAGES |
  Init.CACHE_SYMLINKS |
  Init.EXPLICIT_INVAL_DATA |
  Init.HANDLE_KILLPRIV_V2 |
  Init.SETXATTR_EXT |
  Init.INIT_EXT;

const WANTED_BY_MODE: Readonly<Record<IoMode, { readonly flags: number; readonly flags2: number }>> = {
  cached: { flags: Init.NO_OPEN_SUPPORT | Init.NO_OPENDIR_SUPPORT, flags2: 0 },
  direct: { flags: 0, flags2: Init2.DIRECT_IO_ALLOW_MMAP },
  shared: { flags: 0, flags2: Init2.PASSTHROUGH },
};

export const negotiate: Handler = (session, request, reply) => {
  request.need(16);
  const [major, minor, maxReadahead, offered] = [0, 4, 8, 12].map((at) => request.u32(at)) as [
    number,
    number,
    number,
    number,
  ];
  if (major < KERNEL_VERSION || (major === KERNEL_VERSION && minor < MINOR_VERSION_MIN))
    throw new FsError('EINVAL', { note: `FUSE ${major}.${minor} is too old` });
  reply.zeros(INIT_OUT_BYTES);
  reply.setU32(0, KERNEL_VERSION);
  // A kernel of a later major version asks again in ours.
  if (major > KERNEL_VERSION) return;
  const byMode = WANTED_BY_MODE[session.io];
  const hasMore = (offered & Init.INIT_EXT) !== 0;
  if (hasMore) request.need(20);
  const offered2 = hasMore ? request.u32(16) : 0;
  const forHost = session.fileSystem.stack.chain.live !== undefined ? Init.AUTO_INVAL_DATA : 0;
  const flags = offered & (WANTED | byMode.flags | forHost);
  session.hasLongSetXattr = (flags & Init.SETXATTR_EXT) !== 0;
  session.isReady = true;
  reply.setU32(4, KERNEL_MINOR_VERSION);
  reply.setU32(8, maxReadahead);
  reply.setU32(12, flags);
  reply.setU16(16, MAX_BACKGROUND);
  reply.setU16(18, CONGESTION_THRESHOLD);
  reply.setU32(20, MAX_WRITE_BYTES);
  reply.setU32(24, 1);
  reply.setU16(28, MAX_PAGES);
  reply.setU32(32, offered2 & byMode.flags2);
  if ((offered2 & byMode.flags2 & Init2.PASSTHROUGH) !== 0) reply.setU32(36, 1);
};

/** struct fuse_kstatfs, 80 bytes: blocks, bfree, bavail, files, ffree (64) · bsize, namelen, frsize (32) · padding. */
export const countSpace: Handler = (session, _request, reply) => {
  const counts = session.space();
  reply.zeros(80);
  reply.setU64(0, counts.blocks);
  reply.setU64(8, counts.bfree);
  reply.setU64(16, counts.bavail);
  reply.setU64(24, counts.files);
  reply.setU64(32, counts.ffree);
  reply.setU32(40, counts.bsize);
  reply.setU32(44, 255);
  reply.setU32(48, counts.bsize);
};
