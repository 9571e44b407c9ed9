/** Handlers for the bytes of files: reads, writes, space, holes, and copies inside the mount. */
import { BLOCK_SIZE, FsError, isFsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { O_DSYNC, SEEK_DATA, SEEK_HOLE } from '../sys/index.ts';
import type { Caller, InodeCalls } from '../vfs/index.ts';
import {
  COPY_FILE_RANGE_IN,
  COPY_FILE_RANGE_OUT,
  FALLOCATE_IN,
  LSEEK_IN,
  LSEEK_OUT,
  OPEN_IN,
  OUT_HEADER_BYTES,
  READ_IN,
  RELEASE_IN,
  WRITE_IN,
  WRITE_KILL_SUIDGID,
  WRITE_OUT,
} from './abi.ts';
import { kernelFor } from './caller.ts';
import { type Handler, replyOpened } from './handler.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

export const open: Handler = (session, request, reply) => {
  request.need(OPEN_IN.bytes);
  const answer = session.opens.open(session.inode(request.nodeId), request.u32(OPEN_IN.flags));
  return replyOpened(reply, answer);
};

export const release: Handler = (session, request) => {
  request.need(RELEASE_IN.bytes);
  session.opens.release?.(session.inoOf(request.nodeId), request.u64(RELEASE_IN.fh));
};

/**
 * READ. If the bytes are not in memory, fetches them in the background and answers later, because one cold read must
 * not hold up other mounts.
 */
export const read: Handler = (session, request, reply) => {
  request.need(READ_IN.bytes);
  const { nodeId } = request;
  const [position, size] = [request.u64(READ_IN.offset), request.u32(READ_IN.size)];
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
    until: session.calls.fetch(inode, position, length).catch(leaveToRead),
    answer: (later) => {
      const now = session.file(nodeId);
      const bytes = readInto(session, now, later, length, position, true);
      replyBytes(session, later, now, position, bytes);
    },
  };
};

/**
 * Reads into the reply. Returns how many bytes it read; -1 if the read would wait for the disk and `mayWait` is false.
 */
function readInto(
  { calls, events }: Session,
  inode: Inode,
  { bytes }: Reply,
  length: number,
  position: number,
  mayWait: boolean,
): number {
  try {
    return calls.read(inode, bytes, OUT_HEADER_BYTES, length, position, mayWait);
  } catch (error) {
    if (isFsError(error, 'EIO')) events.onDamaged?.(inode, error);
    throw error;
  }
}

/** Ignores a failed fetch: the read that follows fails too, and reports the error. */
function leaveToRead(error: unknown): void {
  if (!(error instanceof FsError)) throw error;
}

function replyBytes(session: Session, reply: Reply, inode: Inode, position: number, count: number): void {
  session.readAhead.files.noteRead(inode);
  reply.payloadBytes = count;
  session.events.onCached?.(inode, position, count);
}

export const write: Handler = (session, request, reply) => {
  request.need(WRITE_IN.bytes);
  const [position, size] = [request.u64(WRITE_IN.offset), request.u32(WRITE_IN.size)];
  request.need(WRITE_IN.bytes + size);
  const inode = session.file(request.nodeId);
  const caller = kernelFor((request.u32(WRITE_IN.writeFlags) & WRITE_KILL_SUIDGID) !== 0);
  const at = request.lengthBytes - size;
  const written = session.calls.write(caller, inode, request.bytes, at, size, position);
  if ((request.u32(WRITE_IN.flags) & O_DSYNC) !== 0) session.calls.sync();
  session.events.onCached?.(inode, position, written);
  reply.zeros(WRITE_OUT.bytes).setU32(WRITE_OUT.size, written);
};

/**
 * FSYNC, FSYNCDIR and SYNCFS: there is one journal, so each of them makes everything durable. If there is much data, it
 * goes to the disk in the background first, because one program's fsync must not hold up other mounts.
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

/** FALLOCATE, for fallocate(2). */
export const allocate: Handler = (session, request) => {
  request.need(FALLOCATE_IN.bytes);
  const { calls } = session;
  const inode = session.inode(request.nodeId);
  const [position, length] = [request.u64(FALLOCATE_IN.offset), request.u64(FALLOCATE_IN.length)];
  const mode = request.u32(FALLOCATE_IN.mode);
  const keepSize = (mode & FALLOC_KEEP_SIZE) !== 0;
  // FALLOCATE has no flag that says whether to clear set-user-ID and set-group-ID. So clear them for every caller
  // except root.
  const caller = kernelFor(request.uid !== 0);
  switch (mode & ~FALLOC_KEEP_SIZE) {
    case 0:
      calls.allocate(caller, inode, position, length, keepSize);
      break;
    case FALLOC_PUNCH_HOLE:
      if (!keepSize) throw new FsError('EOPNOTSUPP');
      calls.punch(caller, inode, position, length);
      break;
    case FALLOC_ZERO_RANGE:
      calls.punch(caller, inode, position, length);
      calls.allocate(caller, inode, position, length, keepSize);
      break;
    default:
      throw new FsError('EOPNOTSUPP');
  }
};

export const seek: Handler = (session, request, reply) => {
  request.need(LSEEK_IN.bytes);
  const inode = session.inode(request.nodeId);
  const [position, whence] = [request.u64(LSEEK_IN.offset), request.u32(LSEEK_IN.whence)];
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FsError('EINVAL');
  const found = session.calls.seek(inode, position, whence === SEEK_DATA ? 'data' : 'hole');
  reply.zeros(LSEEK_OUT.bytes).setU64(LSEEK_OUT.offset, found);
};

/** A copy of the `length` bytes from `from`, all of which are in the source, to `to` in the target. */
interface Copy {
  readonly caller: Caller;
  readonly source: Inode;
  readonly from: number;
  readonly length: number;
  readonly target: Inode;
  readonly to: number;
}

/**
 * Shares whole blocks if it can, or else copies up to 1 MiB. Returns how many bytes it shared or copied, which may be
 * fewer than the request wants.
 */
function copyRange(session: Session, request: Request, lengthMax: number): number {
  request.need(COPY_FILE_RANGE_IN.bytes);
  const source = session.inode(request.nodeId);
  const target = session.inode(request.u64(COPY_FILE_RANGE_IN.nodeidOut));
  const [from, to] = [request.u64(COPY_FILE_RANGE_IN.offIn), request.u64(COPY_FILE_RANGE_IN.offOut)];
  const wanted = request.u64(COPY_FILE_RANGE_IN.len);
  if (request.u64(COPY_FILE_RANGE_IN.flags) !== 0) throw new FsError('EINVAL');
  if (!source.isFile || !target.isFile) throw new FsError('EINVAL');
  const length = Math.min(wanted, lengthMax, source.record.size - from);
  if (length <= 0) return 0;
  // Clear set-user-ID and set-group-ID as FALLOCATE does: this request has no flag for that either.
  const caller = kernelFor(request.uid !== 0);
  const copy = { caller, source, from, length, target, to };
  return shareBlocks(session.calls, copy) ?? copyBytes(session.calls, copy);
}

/** Shares blocks, and returns how many bytes it shared. Undefined if the positions or the length do not allow that. */
function shareBlocks(
  calls: InodeCalls,
  { caller, source, from, length, target, to }: Copy,
): number | undefined {
  if (from % BLOCK_SIZE !== 0 || to % BLOCK_SIZE !== 0) return undefined;
  const isToEnd = from + length === source.record.size && to + length >= target.record.size;
  const shared = isToEnd ? length : length - (length % BLOCK_SIZE);
  if (shared === 0) return undefined;
  try {
    calls.reflinkRange(caller, source, from, shared, target, to);
    return shared;
  } catch (error) {
    // For example, the ranges overlap. The copy that follows reports the error, if there is one.
    if (isFsError(error, 'EINVAL')) return undefined;
    throw error;
  }
}

const COPY_BYTES = 1024 * 1024;

function copyBytes(calls: InodeCalls, { caller, source, from, length, target, to }: Copy): number {
  if (source === target && from < to + length && to < from + length) throw new FsError('EINVAL');
  const buffer = Buffer.allocUnsafe(Math.min(length, COPY_BYTES));
  // Each request copies one piece: the kernel or the program asks for the rest.
  const count = calls.read(source, buffer, 0, buffer.length, from);
  return count > 0 ? calls.write(caller, target, buffer, 0, count, to) : 0;
}

/** The largest number of whole blocks, in bytes, that 32 bits can express. */
const COPY_LENGTH_MAX = 2 ** 32 - BLOCK_SIZE;

export const copyFileRange: Handler = (session, request, reply) => {
  reply.zeros(WRITE_OUT.bytes).setU32(WRITE_OUT.size, copyRange(session, request, COPY_LENGTH_MAX));
};

export const copyFileRange64: Handler = (session, request, reply) => {
  reply
    .zeros(COPY_FILE_RANGE_OUT.bytes)
    .setU64(COPY_FILE_RANGE_OUT.bytesCopied, copyRange(session, request, Number.POSITIVE_INFINITY));
};
