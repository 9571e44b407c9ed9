/** Attributes and extended attributes. */
import { FsError, type Timespec } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { ENODATA } from '../sys/index.ts';
import type { AttributeChanges, TimeChange } from '../vfs/index.ts';
import { SETXATTR_ACL_KILL_SGID, SetAttr } from './abi.ts';
import { putAttrOut, putStatx } from './attribute-codec.ts';
import { hasAdmin } from './caller.ts';
import type { Handler } from './handler.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';

export const getAttributes: Handler = (session, request, reply) => {
  const inode = session.inode(request.nodeId);
  putAttrOut(reply, session.calls.attributesOf(inode), session.validSeconds(inode));
};

export const getStatx: Handler = (session, request, reply) => {
  const inode = session.inode(request.nodeId);
  putStatx(reply, session.calls.attributesOf(inode), session.validSeconds(inode));
};

/**
 * struct fuse_setattr_in, 88 bytes: 0 valid, padding · 8 fh · 16 size · 24 lock_owner · 32 atime · 40 mtime · 48
 * ctime (64 each) · 56 atimensec · 60 mtimensec · 64 ctimensec · 68 mode · 72 unused · 76 uid · 80 gid · 84 unused.
 */
export const setAttributes: Handler = (session, request, reply) => {
  request.need(88);
  const inode = session.inode(request.nodeId);
  const changes = { ...changesOf(request), keepsPrivileges: isOwnUnnamed(inode, request) };
  if (changes.size !== undefined) session.opens.requireResizable(inode);
  session.calls.change(inode, changes);
  putAttrOut(reply, session.calls.attributesOf(inode), session.validSeconds(inode));
};

/**
 * An overlay copies a file up into one without a name, which is its own: bytes, capabilities, size, mode and then the
 * owner. These are no truncate(2) and chown(2), and leave capabilities and set-user-ID where they are. The kernel knows
 * that (ATTR_KILL_SUID), but does not tell a server that clears them itself (FATTR_KILL_SUIDGID in fs/fuse/dir.c).
 * Nobody gains by it: the owner of the file can set them again.
 */
function isOwnUnnamed({ record }: Inode, { uid }: Request): boolean {
  return record.nlink === 0 && record.uid === uid;
}

function changesOf(request: Request): AttributeChanges {
  const valid = request.u32(0);
  const has = (flag: number): boolean => (valid & flag) !== 0;
  const time = (flag: number, nowFlag: number, at: number, nanosecondsAt: number): TimeChange | undefined => {
    if (has(nowFlag)) return 'now';
    if (!has(flag)) return undefined;
    const moment: Timespec = { seconds: request.i64(at), nanoseconds: request.u32(nanosecondsAt) };
    return moment;
  };
  const atime = time(SetAttr.ATIME, SetAttr.ATIME_NOW, 32, 56);
  const mtime = time(SetAttr.MTIME, SetAttr.MTIME_NOW, 40, 60);
  return {
    ...(has(SetAttr.MODE) ? { mode: request.u32(68) & 0o7777 } : {}),
    ...(has(SetAttr.UID) ? { uid: request.u32(76) } : {}),
    ...(has(SetAttr.GID) ? { gid: request.u32(80) } : {}),
    ...(has(SetAttr.SIZE) ? { size: request.u64(16) } : {}),
    ...(atime === undefined ? {} : { atime }),
    ...(mtime === undefined ? {} : { mtime }),
    killPrivileges: has(SetAttr.KILL_SUIDGID),
  };
}

export const readLink: Handler = (session, request, reply) => {
  const inode = session.inode(request.nodeId);
  if (!inode.isSymlink) throw new FsError('EINVAL');
  const { target } = inode.record;
  reply.payloadBytes = target.length;
  reply.setText(0, target);
};

// Extended attributes.

/**
 * struct fuse_setxattr_in: size, flags, and with SETXATTR_EXT setxattr_flags, padding · name · value.
 */
export const setXattr: Handler = (session, request) => {
  const headBytes = session.hasLongSetXattr ? 16 : 8;
  request.need(headBytes);
  const [size, flags] = [request.u32(0), request.u32(4)];
  const clearsSetgid = session.hasLongSetXattr && (request.u32(8) & SETXATTR_ACL_KILL_SGID) !== 0;
  const name = request.name(headBytes);
  const at = request.afterName(headBytes);
  request.need(at + size);
  session.calls.setXattr(
    session.inode(request.nodeId),
    name,
    request.argument(at, size),
    flags,
    clearsSetgid,
  );
};

const CAPABILITIES = 'security.capability';

/** struct fuse_getxattr_in: size, padding · name. A size of 0 asks for the length. */
export const getXattr: Handler = (session, request, reply) => {
  request.need(8);
  const { calls } = session;
  const inode = session.inode(request.nodeId);
  const name = request.name(8);
  // The kernel asks for the capabilities of each new file before the first write to it, and mostly there are none.
  if (name === CAPABILITIES && !calls.hasXattrs(inode)) return ENODATA;
  replySized(reply, calls.getXattr(inode, name), request.u32(0));
  return undefined;
};

/** The names that the caller may know of, each ended by a zero byte. The kernel leaves none out. */
export const listXattrs: Handler = (session, request, reply) => {
  request.need(8);
  const names = session.calls.xattrNames(session.inode(request.nodeId), () => hasAdmin(request));
  replySized(reply, Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'), request.u32(0));
};

/** The bytes, or with a size of 0 struct fuse_getxattr_out: size, padding. ERANGE when they are more than asked for. */
function replySized(reply: Reply, value: Uint8Array, size: number): void {
  if (size === 0) {
    reply.zeros(8).setU32(0, value.length);
    return;
  }
  if (value.length > size) throw new FsError('ERANGE');
  reply.payloadBytes = value.length;
  reply.setBytes(0, value);
}

export const removeXattr: Handler = (session, request) => {
  session.calls.removeXattr(session.inode(request.nodeId), request.name(0));
};
