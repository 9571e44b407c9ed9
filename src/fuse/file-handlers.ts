/** Bytes of files: reads, writes, space, holes, and copies inside the mount. */
import { BLOCK_SIZE, FsError, isFsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { ENOSYS } from '../sys/index.ts';
import { OUT_HEADER_BYTES, WRITE_KILL_SUIDGID } from './abi.ts';
import { type Handler, OPEN_OUT_BYTES, openAt } from './handler.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

const O_DSYNC = 0o10000;

/**
 * struct fuse_open_in: flags, open_flags. Answered with struct fuse_open_out, or with ENOSYS: nothing need be asked.
 */
export const open: Handler = (session, request, reply) => {
  request.need(8);
  const answer = session.opens.open(session.inode(request.nodeId), request.u32(0));
  if (answer === undefined) return ENOSYS;
  reply.zeros(OPEN_OUT_BYTES);
  openAt(reply, 0, answer);
  return undefined;
};

/** struct fuse_release_in: fh (64) · flags, release_flags · lock_owner (64). */
export const release: Handler = (session, request) => {
  request.need(8);
  session.opens.release(request.u64(0));
};

/**
 * struct fuse_read_in: fh, offset (64) · size, read_flags · lock_owner (64) · flags, padding. What is not in memory is
 * fetched in the background: one cold read must not hold up every other mount.
 */
export const read: Handler = (session, request, reply) => {
  request.need(40);
  const { nodeId } = request;
  const [position, size] = [request.u64(8), request.u32(16)];
  const inode = session.file(nodeId);
  const length = Math.min(size, reply.capacityBytes);
  if (session.readAhead.files.take(inode, reply.bytes, OUT_HEADER_BYTES, position, length)) {
    session.calls.noteRead(inode);
    replyBytes(session, reply, inode, position, inode.record.size);
    return undefined;
  }
  const count = readInto(session, inode, reply, length, position, false);
  if (count >= 0) {
    replyBytes(session, reply, inode, position, count);
    return undefined;
  }
  return {
    until: session.calls.fetch(inode, position, length).catch(readWillTell),
    answer: (later) => {
      const now = session.file(nodeId);
      const bytes = readInto(session, now, later, length, position, true);
      replyBytes(session, later, now, position, bytes);
    },
  };
};

/** The bytes that there are; -1 where the disk would have to be waited for and `mayWait` is false. */
function readInto(
  { calls, events }: Session,
  inode: Inode,
  { bytes }: Reply,
  length: number,
  position: number,
  mayWait: boolean,
): number {
  try {
    return mayWait
      ? calls.read(inode, bytes, OUT_HEADER_BYTES, length, position)
      : calls.tryRead(inode, bytes, OUT_HEADER_BYTES, length, position);
  } catch (error) {
    if (isFsError(error, 'EIO')) events.onDamaged?.(inode, error);
    throw error;
  }
}

/** What could not be fetched fails once more when it is read, and there somebody is told. */
function readWillTell(error: unknown): void {
  if (!(error instanceof FsError)) throw error;
}

function replyBytes(session: Session, reply: Reply, inode: Inode, position: number, count: number): void {
  session.readAhead.files.noteRead(inode);
  reply.payloadBytes = count;
  session.events.onCached?.(inode, position, count);
}

/** struct fuse_write_in: fh, offset (64) · size, write_flags · lock_owner (64) · flags, padding · the bytes. */
export const write: Handler = (session, request, reply) => {
  request.need(40);
  const [position, size] = [request.u64(8), request.u32(16)];
  request.need(40 + size);
  const inode = session.file(request.nodeId);
  const killPrivileges = (request.u32(20) & WRITE_KILL_SUIDGID) !== 0;
  const at = request.lengthBytes - size;
  session.calls.write(inode, request.bytes, at, size, position, killPrivileges);
  if ((request.u32(32) & O_DSYNC) !== 0) session.calls.sync();
  session.events.onCached?.(inode, position, size);
  reply.zeros(8).setU32(0, size);
};

/**
 * fsync(2), fsyncdir, syncfs(2): the journal is one, so each of them makes everything durable. Much data goes to the
 * disk in the background first: one program's fsync must not hold up every other mount.
 */
export const sync: Handler = (session) => {
  const until = session.calls.flush();
  if (until !== undefined) return { until, answer: () => session.calls.sync() };
  session.calls.sync();
  return undefined;
};

const FALLOC_KEEP_SIZE = 0x01;
const FALLOC_PUNCH_HOLE = 0x02;
const FALLOC_ZERO_RANGE = 0x10;

/** struct fuse_fallocate_in: fh, offset, length (64) · mode, padding. fallocate(2). */
export const allocate: Handler = (session, request) => {
  request.need(32);
  const { calls } = session;
  const inode = session.inode(request.nodeId);
  const [position, length, mode] = [request.u64(8), request.u64(16), request.u32(24)];
  const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0;
  // The kernel has no flag for it here: who has no privileges of his own leaves none to others.
  const killPrivileges = request.uid !== 0;
  switch (mode & ~FALLOC_KEEP_SIZE) {
    case 0:
      calls.allocate(inode, position, length, keepSize, killPrivileges);
      break;
    case FALLOC_PUNCH_HOLE:
      if (!keepSize) throw new FsError('EOPNOTSUPP');
      calls.punch(inode, position, length, killPrivileges);
      break;
    case FALLOC_ZERO_RANGE:
      calls.punch(inode, position, length, killPrivileges);
      calls.allocate(inode, position, length, keepSize, killPrivileges);
      break;
    default:
      throw new FsError('EOPNOTSUPP');
  }
};

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** struct fuse_lseek_in: fh, offset (64) · whence, padding. Answered with the offset (64). */
export const seek: Handler = (session, request, reply) => {
  request.need(24);
  const inode = session.inode(request.nodeId);
  const [position, whence] = [request.u64(8), request.u32(16)];
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FsError('EINVAL');
  const { calls } = session;
  const found = whence === SEEK_DATA ? calls.seekData(inode, position) : calls.seekHole(inode, position);
  reply.zeros(8).setU64(0, found);
};

/**
 * struct fuse_copy_file_range_in: fh_in, off_in, nodeid_out, fh_out, off_out, len, flags (64 each). Whole blocks are
 * shared, what is left is copied.
 */
function copyRange(session: Session, request: Request, lengthMax: number): number {
  request.need(56);
  const source = session.inode(request.nodeId);
  const target = session.inode(request.u64(16));
  const [from, to, wanted, flags] = [request.u64(8), request.u64(32), request.u64(40), request.u64(48)];
  if (flags !== 0) throw new FsError('EINVAL');
  if (!source.isFile || !target.isFile) throw new FsError('EINVAL');
  const length = Math.min(wanted, lengthMax, source.record.size - from);
  if (length <= 0) return 0;
  // As of fallocate.
  const killPrivileges = request.uid !== 0;
  return (
    shareBlocks(session, source, from, length, target, to, killPrivileges) ??
    copyBytes(session, source, from, length, target, to, killPrivileges)
  );
}

/** The bytes that were shared; undefined where the places or the length forbid it. */
function shareBlocks(
  { calls }: Session,
  source: Inode,
  from: number,
  length: number,
  target: Inode,
  to: number,
  killPrivileges: boolean,
): number | undefined {
  if (from % BLOCK_SIZE !== 0 || to % BLOCK_SIZE !== 0) return undefined;
  const isToEnd = from + length === source.record.size && to + length >= target.record.size;
  const shared = isToEnd ? length : length - (length % BLOCK_SIZE);
  if (shared === 0) return undefined;
  try {
    calls.reflinkRange(source, from, shared, target, to, killPrivileges);
    return shared;
  } catch (error) {
    // Ranges that overlap, for one: the copy says what is wrong, if anything is.
    if (isFsError(error, 'EINVAL')) return undefined;
    throw error;
  }
}

const COPY_BYTES = 1024 * 1024;

function copyBytes(
  { calls }: Session,
  source: Inode,
  from: number,
  length: number,
  target: Inode,
  to: number,
  killPrivileges: boolean,
): number {
  if (source === target && from < to + length && to < from + length) throw new FsError('EINVAL');
  const buffer = Buffer.allocUnsafe(Math.min(length, COPY_BYTES));
  // One piece a request: the kernel and its caller go on with the rest.
  const count = calls.read(source, buffer, 0, buffer.length, from);
  if (count > 0) calls.write(target, buffer, 0, count, to, killPrivileges);
  return count;
}

/** The most that 32 bits can tell of, in whole blocks. */
const COPY_LENGTH_MAX = 2 ** 32 - BLOCK_SIZE;

/** Answered with struct fuse_write_out: size, padding. */
export const copyFileRange: Handler = (session, request, reply) => {
  reply.zeros(8).setU32(0, copyRange(session, request, COPY_LENGTH_MAX));
};

/** Answered with struct fuse_copy_file_range_out: bytes_copied (64). */
export const copyFileRange64: Handler = (session, request, reply) => {
  reply.zeros(8).setU64(0, copyRange(session, request, Number.POSITIVE_INFINITY));
};
