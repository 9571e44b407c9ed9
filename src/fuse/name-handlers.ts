/** Names: lookup, and everything that makes, moves or removes one. */
import { FsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from '../vfs/index.ts';
import { ENTRY_BYTES, putMissing } from './attribute-codec.ts';
import { entryAt, type Handler, OPEN_OUT_BYTES, openAt, replyEntry } from './handler.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** `.` and `..` are asked for by those who have a file handle: EXPORT_SUPPORT. */
export const lookup: Handler = (session, request, reply) => {
  const { calls } = session;
  const name = request.name(0);
  const { nodeId } = request;
  const directory = session.inode(nodeId);
  const until = name === '.' ? session.events.onHandle?.(directory) : undefined;
  if (until !== undefined)
    return { until, answer: (later) => replyEntry(session, later, session.inode(nodeId)) };
  const inode =
    name === '.' ? directory : name === '..' ? calls.parentOf(directory) : calls.lookup(directory, name);
  if (inode === undefined) putMissing(reply, session.validSecondsOfNames(directory));
  else replyEntry(session, reply, inode);
  return undefined;
};

/** struct fuse_forget_in: nlookup (64). */
export const forget: Handler = (session, request) => {
  request.need(8);
  session.forget(request.nodeId, request.u64(0));
};

/** struct fuse_batch_forget_in: count, dummy · count times struct fuse_forget_one: nodeid, nlookup (64 each). */
export const batchForget: Handler = (session, request) => {
  request.need(8);
  const count = request.u32(0);
  request.need(8 + count * 16);
  for (let index = 0; index < count; index++) {
    session.forget(request.u64(8 + index * 16), request.u64(16 + index * 16));
  }
};

/** Makes something as the caller, in the directory that the request names. */
function makeAs(session: Session, request: Request, umask: number, make: (directory: Inode) => Inode): Inode {
  session.calls.actAs(request.uid, request.gid, umask);
  return make(session.inode(request.nodeId));
}

/** struct fuse_mknod_in: mode, rdev, umask, padding · name. */
export const makeNode: Handler = (session, request, reply) => {
  request.need(16);
  const name = request.name(16);
  const made = makeAs(session, request, request.u32(8), (directory) =>
    session.calls.makeNode(directory, name, request.u32(0), request.u32(4)),
  );
  replyEntry(session, reply, made);
};

/** struct fuse_mkdir_in: mode, umask · name. */
export const makeDirectory: Handler = (session, request, reply) => {
  request.need(8);
  const name = request.name(8);
  const made = makeAs(session, request, request.u32(4), (directory) =>
    session.calls.makeDirectory(directory, name, request.u32(0)),
  );
  replyEntry(session, reply, made);
};

/** Name, then target. */
export const symlink: Handler = (session, request, reply) => {
  const name = request.name(0);
  const target = request.name(request.afterName(0));
  const made = makeAs(session, request, 0, (directory) => session.calls.symlink(directory, name, target));
  replyEntry(session, reply, made);
};

/** struct fuse_link_in: oldnodeid (64) · name. */
export const link: Handler = (session, request, reply) => {
  request.need(8);
  const inode = session.inode(request.u64(0));
  session.calls.link(inode, session.inode(request.nodeId), request.name(8));
  replyEntry(session, reply, inode);
};

export const unlink: Handler = (session, request) => {
  session.calls.unlink(session.inode(request.nodeId), request.name(0));
};

export const removeDirectory: Handler = (session, request) => {
  session.calls.removeDirectory(session.inode(request.nodeId), request.name(0));
};

/** struct fuse_rename_in: newdir (64) · old name · new name. */
export const rename: Handler = (session, request) => {
  request.need(8);
  move(session, request, 8, 0);
};

/** struct fuse_rename2_in: newdir (64) · flags, padding · old name · new name. */
export const rename2: Handler = (session, request) => {
  request.need(16);
  const flags = request.u32(8);
  const known = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
  if ((flags & ~known) !== 0) throw new FsError('EINVAL');
  // A whiteout is made. It has no permission bits for an umask to clear.
  if ((flags & RENAME_WHITEOUT) !== 0) session.calls.actAs(request.uid, request.gid, 0);
  move(session, request, 16, flags);
};

function move(session: Session, request: Request, namesAt: number, flags: number): void {
  const name = request.name(namesAt);
  const newName = request.name(request.afterName(namesAt));
  const [from, to] = [session.inode(request.nodeId), session.inode(request.u64(0))];
  session.calls.rename(from, name, to, newName, flags);
}

/** struct fuse_create_in: flags, mode, umask, open_flags · name. Answered by an entry and struct fuse_open_out. */
export const create: Handler = (session, request, reply) => {
  request.need(16);
  const name = request.name(16);
  const made = makeAs(session, request, request.u32(8), (directory) =>
    session.calls.createFile(directory, name, request.u32(4)),
  );
  replyOpened(session, reply, made);
};

/** As CREATE; the name stands for nothing. */
export const makeUnnamed: Handler = (session, request, reply) => {
  request.need(16);
  const made = makeAs(session, request, request.u32(8), (directory) =>
    session.calls.createUnnamed(directory, request.u32(4)),
  );
  replyOpened(session, reply, made);
  session.noteUnnamed(made);
};

function replyOpened(session: Session, reply: Reply, inode: Inode): void {
  reply.zeros(ENTRY_BYTES + OPEN_OUT_BYTES);
  entryAt(session, reply, 0, inode);
  openAt(reply, ENTRY_BYTES, session.opens.created(inode));
}
