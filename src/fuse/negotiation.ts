/** INIT, the first request of a mount, in which kernel and server agree on features; and STATFS. */
import { statfsSync } from 'node:fs';
import { FsError, NAME_BYTES_MAX } from '../base/index.ts';
import type { SpaceCounts } from '../vfs/index.ts';
import {
  INIT_IN,
  INIT_OUT,
  Init,
  Init2,
  KERNEL_MINOR_VERSION,
  KERNEL_VERSION,
  KSTATFS,
  MINOR_VERSION_MIN,
} from './abi.ts';
import type { Handler } from './handler.ts';
import type { IoMode } from './mount-server.ts';

/** The most bytes of a READ or WRITE: 256 pages, the kernel's limit unless a sysctl raises it. */
export const MAX_WRITE_BYTES = 1024 * 1024;
const MAX_PAGES = 256;
const MAX_BACKGROUND = 64;
const CONGESTION_THRESHOLD = 48;
/** Granularity of stored times, in nanoseconds. */
const TIME_GRANULARITY = 1;
/** How deep filesystems may be stacked. With 1, a blob can be passed through only from one that is not stacked. */
const STACK_DEPTH = 1;

/**
 * Features requested in every mode. Left out on purpose: ATOMIC_O_TRUNC (without OPEN the truncation would be lost),
 * locks (the kernel's own are right), WRITEBACK_CACHE (the kernel's dirty pages are lost when the owner dies).
 * With AUTO_INVAL_DATA the kernel drops pages and listings when their times have changed. It is requested only for
 * trees over a host tree, because each write then drops the file's pages.
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
  request.need(INIT_IN.compatBytes);
  const [major, minor] = [request.u32(INIT_IN.major), request.u32(INIT_IN.minor)];
  const offered = request.u32(INIT_IN.flags);
  if (major < KERNEL_VERSION || (major === KERNEL_VERSION && minor < MINOR_VERSION_MIN))
    throw new FsError('EINVAL', { note: `FUSE ${major}.${minor} is too old` });
  reply.zeros(INIT_OUT.bytes);
  reply.setU32(INIT_OUT.major, KERNEL_VERSION);
  // A kernel with a later major version sends INIT again, with our version.
  if (major > KERNEL_VERSION) return;
  const byMode = WANTED_BY_MODE[session.io];
  const hasMore = (offered & Init.INIT_EXT) !== 0;
  if (hasMore) request.need(INIT_IN.flags2 + 4);
  const offered2 = hasMore ? request.u32(INIT_IN.flags2) : 0;
  const forHost = session.tree.stack.chain.live !== undefined ? Init.AUTO_INVAL_DATA : 0;
  const flags = offered & (WANTED | byMode.flags | forHost);
  session.hasLongSetXattr = (flags & Init.SETXATTR_EXT) !== 0;
  session.isReady = true;
  reply.setU32(INIT_OUT.minor, KERNEL_MINOR_VERSION);
  reply.setU32(INIT_OUT.maxReadahead, request.u32(INIT_IN.maxReadahead));
  reply.setU32(INIT_OUT.flags, flags);
  reply.setU16(INIT_OUT.maxBackground, MAX_BACKGROUND);
  reply.setU16(INIT_OUT.congestionThreshold, CONGESTION_THRESHOLD);
  reply.setU32(INIT_OUT.maxWrite, MAX_WRITE_BYTES);
  reply.setU32(INIT_OUT.timeGran, TIME_GRANULARITY);
  reply.setU16(INIT_OUT.maxPages, MAX_PAGES);
  const flags2 = offered2 & byMode.flags2;
  reply.setU32(INIT_OUT.flags2, flags2);
  if ((flags2 & Init2.PASSTHROUGH) !== 0) reply.setU32(INIT_OUT.maxStackDepth, STACK_DEPTH);
};

export const countSpace: Handler = (session, _request, reply) => {
  const counts = session.space();
  reply.zeros(KSTATFS.bytes);
  reply.setU64(KSTATFS.blocks, counts.blocks);
  reply.setU64(KSTATFS.bfree, counts.bfree);
  reply.setU64(KSTATFS.bavail, counts.bavail);
  reply.setU64(KSTATFS.files, counts.files);
  reply.setU64(KSTATFS.ffree, counts.ffree);
  reply.setU32(KSTATFS.bsize, counts.bsize);
  reply.setU32(KSTATFS.namelen, NAME_BYTES_MAX);
  reply.setU32(KSTATFS.frsize, counts.bsize);
};

/** How long counts are reused before the host is asked again. */
const FRESH_MS = 500;

/**
 * Returns a function that counts space and inodes of the host's filesystem that holds `directory`. That function throws
 * EIO if the host does not answer.
 */
export function spaceCounter(directory: string): () => SpaceCounts {
  let counts: SpaceCounts | undefined;
  let countedAt = 0;
  return () => {
    const now = performance.now();
    if (counts === undefined || now - countedAt > FRESH_MS) {
      try {
        counts = statfsSync(directory);
      } catch {
        throw new FsError('EIO', { syscall: 'statfs', path: directory });
      }
      countedAt = now;
    }
    return counts;
  };
}
