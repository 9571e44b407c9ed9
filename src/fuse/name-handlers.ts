/** Operations that look up, forget, make, move and remove names. */
import { FsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from '../vfs/index.ts';
import {
  BATCH_FORGET_IN,
  CREATE_IN,
  ENTRY_OUT,
  FORGET_IN,
  FORGET_ONE,
  LINK_IN,
  MKDIR_IN,
  MKNOD_IN,
  OPEN_OUT,
  RENAME_IN,
  RENAME2_IN,
} from './abi.ts';
import { putMissing } from './attribute-codec.ts';
import { KERNEL, makerOf } from './caller.ts';
import { entryAt, type Handler, openAt, replyEntry } from './handler.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** The kernel also looks up `.` and `..`, to resolve a file handle (EXPORT_SUPPORT). */
export const lookup: Handler = (session, request, reply) => {
  const { calls } = session;
  const name = request.name(0);
  const { nodeId } = request;
  const directory = session.inode(nodeId);
  const until = name === '.' ? session.events.onHandle?.(directory) : undefined;
  if (until !== undefined)
    return { until, answer: (later) => replyEntry(session, later, session.inode(nodeId)) };
  let inode: Inode | undefined = directory;
  if (name === '..') inode = calls.parentOf(directory);
  else if (name !== '.') inode = calls.lookup(KERNEL, directory, name);
  if (inode === undefined) putMissing(reply, session.validSecondsOfNames(directory));
  else replyEntry(session, reply, inode);
  return undefined;
};

export const forget: Handler = (session, request) => {
  request.need(FORGET_IN.bytes);
  session.forget(request.nodeId, request.u64(FORGET_IN.nlookup));
};

export const batchForget: Handler = (session, request) => {
  request.need(BATCH_FORGET_IN.bytes);
  const end = BATCH_FORGET_IN.bytes + request.u32(BATCH_FORGET_IN.count) * FORGET_ONE.bytes;
  request.need(end);
  for (let at = BATCH_FORGET_IN.bytes; at < end; at += FORGET_ONE.bytes) {
    session.forget(request.u64(at + FORGET_ONE.nodeid), request.u64(at + FORGET_ONE.nlookup));
  }
};

export const makeNode: Handler = (session, request, reply) => {
  request.need(MKNOD_IN.bytes);
  const name = request.name(MKNOD_IN.bytes);
  const maker = makerOf(request, request.u32(MKNOD_IN.umask));
  const directory = session.inode(request.nodeId);
  const [mode, rdev] = [request.u32(MKNOD_IN.mode), request.u32(MKNOD_IN.rdev)];
  replyEntry(session, reply, session.calls.makeNode(maker, directory, name, mode, rdev));
};

export const makeDirectory: Handler = (session, request, reply) => {
  request.need(MKDIR_IN.bytes);
  const name = request.name(MKDIR_IN.bytes);
  const maker = makerOf(request, request.u32(MKDIR_IN.umask));
  const directory = session.inode(request.nodeId);
  const mode = request.u32(MKDIR_IN.mode);
  replyEntry(session, reply, session.calls.makeDirectory(maker, directory, name, mode));
};

/** The arguments are the name, then the target. */
export const symlink: Handler = (session, request, reply) => {
  const name = request.name(0);
  const target = request.name(request.afterName(0));
  const directory = session.inode(request.nodeId);
  replyEntry(session, reply, session.calls.symlink(makerOf(request, 0), directory, name, target));
};

export const link: Handler = (session, request, reply) => {
  request.need(LINK_IN.bytes);
  const inode = session.inode(request.u64(LINK_IN.oldnodeid));
  session.calls.link(KERNEL, inode, session.inode(request.nodeId), request.name(LINK_IN.bytes));
  replyEntry(session, reply, inode);
};

export const unlink: Handler = (session, request) => {
  session.calls.unlink(KERNEL, session.inode(request.nodeId), request.name(0));
};

export const removeDirectory: Handler = (session, request) => {
  session.calls.removeDirectory(KERNEL, session.inode(request.nodeId), request.name(0));
};

export const rename: Handler = (session, request) => {
  request.need(RENAME_IN.bytes);
  move(session, request, RENAME_IN.bytes, 0);
};

export const rename2: Handler = (session, request) => {
  request.need(RENAME2_IN.bytes);
  const flags = request.u32(RENAME2_IN.flags);
  const known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
  if ((flags & ~known) !== 0) throw new FsError('EINVAL');
  move(session, request, RENAME2_IN.bytes, flags);
};

/** The old name and the new one begin at `namesAt`; the new directory is the first field of both requests. */
function move(session: Session, request: Request, namesAt: number, flags: number): void {
  const name = request.name(namesAt);
  const newName = request.name(request.afterName(namesAt));
  const [from, to] = [session.inode(request.nodeId), session.inode(request.u64(RENAME_IN.newdir))];
  // The whiteout belongs to the caller. It has no permission bits for a umask to clear.
  const caller = (flags & RENAME_WHITEOUT) !== 0 ? makerOf(request, 0) : KERNEL;
  session.calls.rename(caller, from, name, to, newName, flags);
}

export const create: Handler = (session, request, reply) => {
  request.need(CREATE_IN.bytes);
  const name = request.name(CREATE_IN.bytes);
  const maker = makerOf(request, request.u32(CREATE_IN.umask));
  const directory = session.inode(request.nodeId);
  const made = session.calls.createFile(maker, directory, name, request.u32(CREATE_IN.mode));
  replyCreated(session, reply, made);
};

/** TMPFILE: like CREATE, but the name means nothing. */
export const makeUnnamed: Handler = (session, request, reply) => {
  request.need(CREATE_IN.bytes);
  const maker = makerOf(request, request.u32(CREATE_IN.umask));
  const directory = session.inode(request.nodeId);
  const made = session.calls.createUnnamed(maker, directory, request.u32(CREATE_IN.mode));
  replyCreated(session, reply, made);
  session.noteUnnamed(made);
};

/** Replies with an entry and the open of its file. */
function replyCreated(session: Session, reply: Reply, inode: Inode): void {
  reply.zeros(ENTRY_OUT.bytes + OPEN_OUT.bytes);
  entryAt(session, reply, 0, inode);
  openAt(reply, ENTRY_OUT.bytes, session.opens.created(inode));
}
