/** Handlers for attributes, targets of symlinks and extended attributes. */
import { FsError } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { ENODATA } from '../sys/index.ts';
import type { AttributeChanges, TimeChange } from '../vfs/index.ts';
import {
  GETXATTR_IN,
  GETXATTR_OUT,
  SETATTR_IN,
  SETXATTR_ACL_KILL_SGID,
  SETXATTR_IN,
  SetAttr,
} from './abi.ts';
import { putAttrOut, putStatx } from './attribute-codec.ts';
import { hasAdmin, KERNEL, kernelFor } from './caller.ts';
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

export const setAttributes: Handler = (session, request, reply) => {
  request.need(SETATTR_IN.bytes);
  const inode = session.inode(request.nodeId);
  const changes = { ...changesOf(request), keepsPrivileges: isOwnUnnamed(inode, request) };
  if (changes.size !== undefined) session.opens.requireResizable?.(inode);
  const clearsSetId = (request.u32(SETATTR_IN.valid) & SetAttr.KILL_SUIDGID) !== 0;
  session.calls.change(kernelFor(clearsSetId), inode, changes);
  putAttrOut(reply, session.calls.attributesOf(inode), session.validSeconds(inode));
};

/**
 * True if a file has no name and belongs to the caller. Then changes of its size and owner keep capabilities and
 * set-user-ID, unlike truncate(2) and chown(2). An overlay needs that: it copies a file up into an unnamed file, and
 * sets the bytes, capabilities, size, mode and then the owner. The kernel knows which changes come from an overlay
 * (without ATTR_KILL_SUID), but does not say so to a server that clears set-user-ID itself (FATTR_KILL_SUIDGID in
 * fs/fuse/dir.c). Nobody gains rights by this, because the file's owner could grant them again.
 */
function isOwnUnnamed({ record }: Inode, { uid }: Request): boolean {
  return record.nlink === 0 && record.uid === uid;
}

function changesOf(request: Request): AttributeChanges {
  const valid = request.u32(SETATTR_IN.valid);
  const has = (flag: number): boolean => (valid & flag) !== 0;
  const time = (flag: number, nowFlag: number, at: number, nanosecondsAt: number): TimeChange | undefined => {
    if (has(nowFlag)) return 'now';
    if (!has(flag)) return undefined;
    const nanoseconds = request.u32(nanosecondsAt);
    if (nanoseconds >= 1e9) throw new FsError('EINVAL');
    return { seconds: request.i64(at), nanoseconds };
  };
  const atime = time(SetAttr.ATIME, SetAttr.ATIME_NOW, SETATTR_IN.atime, SETATTR_IN.atimensec);
  const mtime = time(SetAttr.MTIME, SetAttr.MTIME_NOW, SETATTR_IN.mtime, SETATTR_IN.mtimensec);
  return {
    ...(has(SetAttr.MODE) ? { mode: request.u32(SETATTR_IN.mode) & 0o7777 } : {}),
    ...(has(SetAttr.UID) ? { uid: request.u32(SETATTR_IN.uid) } : {}),
    ...(has(SetAttr.GID) ? { gid: request.u32(SETATTR_IN.gid) } : {}),
    ...(has(SetAttr.SIZE) ? { size: request.u64(SETATTR_IN.size) } : {}),
    ...(atime === undefined ? {} : { atime }),
    ...(mtime === undefined ? {} : { mtime }),
  };
}

export const readLink: Handler = (session, request, reply) => {
  const inode = session.inode(request.nodeId);
  if (!inode.isSymlink) throw new FsError('EINVAL');
  const { target } = inode.record;
  reply.payloadBytes = target.length;
  reply.setText(0, target);
};

/** SETXATTR: the name and then the value follow the arguments. */
export const setXattr: Handler = (session, request) => {
  const headBytes = session.hasLongSetXattr ? SETXATTR_IN.bytes : SETXATTR_IN.compatBytes;
  request.need(headBytes);
  const [size, flags] = [request.u32(SETXATTR_IN.size), request.u32(SETXATTR_IN.flags)];
  const clearsSetId =
    session.hasLongSetXattr && (request.u32(SETXATTR_IN.setxattrFlags) & SETXATTR_ACL_KILL_SGID) !== 0;
  const name = request.name(headBytes);
  const at = request.afterName(headBytes);
  request.need(at + size);
  const inode = session.inode(request.nodeId);
  session.calls.setXattr(kernelFor(clearsSetId), inode, name, request.argument(at, size), flags);
};

const CAPABILITIES = 'security.capability';

/** GETXATTR: a size of 0 asks for the length of the value. */
export const getXattr: Handler = (session, request, reply) => {
  request.need(GETXATTR_IN.bytes);
  const { calls } = session;
  const inode = session.inode(request.nodeId);
  const name = request.name(GETXATTR_IN.bytes);
  // The kernel asks for the capabilities of each file before the first write to it, and few files have any.
  if (name === CAPABILITIES && !calls.hasXattrs(inode)) return ENODATA;
  replySized(reply, calls.getXattr(KERNEL, inode, name), request.u32(GETXATTR_IN.size));
  return undefined;
};

/** LISTXATTR: the names that the caller may see, each followed by a zero byte. The kernel does not filter names. */
export const listXattrs: Handler = (session, request, reply) => {
  request.need(GETXATTR_IN.bytes);
  const names = session.calls.xattrNames(KERNEL, session.inode(request.nodeId), () => hasAdmin(request));
  replySized(
    reply,
    Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'),
    request.u32(GETXATTR_IN.size),
  );
};

/** Replies with the bytes, or, if `size` is 0, with their length. ERANGE if they are longer than `size`. */
function replySized(reply: Reply, value: Uint8Array, size: number): void {
  if (size === 0) {
    reply.zeros(GETXATTR_OUT.bytes).setU32(GETXATTR_OUT.size, value.length);
    return;
  }
  if (value.length > size) throw new FsError('ERANGE');
  reply.payloadBytes = value.length;
  reply.setBytes(0, value);
}

export const removeXattr: Handler = (session, request) => {
  session.calls.removeXattr(KERNEL, session.inode(request.nodeId), request.name(0));
};
