/**
 * Rights of a request's caller, and of this process. A request names only a process and a user; this file reads their
 * rights from /proc, proc(5).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { FsError } from '../base/index.ts';
import { type Caller, trustedCaller } from '../vfs/index.ts';
import type { Request } from './request.ts';

/** The caller of operations for which the kernel has already checked permission, on behalf of any program. */
export const KERNEL: Caller = trustedCaller(0, 0, 0);
const CLEARING_KERNEL: Caller = trustedCaller(0, 0, 0, true);

/** `KERNEL`, or the same caller with `clearsSetId`. */
export function kernelFor(clearsSetId: boolean): Caller {
  return clearsSetId ? CLEARING_KERNEL : KERNEL;
}

/** Like `KERNEL`, but new inodes belong to the user of the request. */
export function makerOf({ uid, gid }: Request, umask: number): Caller {
  return trustedCaller(uid, gid, umask);
}

/** capabilities(7). */
const CAP_SYS_ADMIN = 21n;
/** The target of /proc/PID/ns/user in the initial user namespace: PROC_USER_INIT_INO of linux/nsfs.h. */
const INITIAL_USER_NAMESPACE = `user:[${0xeffffffd}]`;

/** This process's user namespace; undefined if the kernel has no user namespaces. */
const ours = linkOf('/proc/self/ns/user');
/** True if /proc shows the PID namespace of this process. Requests have the process numbers of that namespace. */
const canFindProcesses = linkOf('/proc/self') === String(process.pid);

/**
 * True if the caller has CAP_SYS_ADMIN in the initial user namespace. The kernel shows attributes of `trusted.` to
 * nobody else (capable(), fs/xattr.c). In three cases this process cannot find out, and returns true for user 0 only:
 * this process may not read the caller's credentials; the caller is in another PID namespace; or the request has the
 * credentials of another user, like the requests of an overlay, which asks its layers as the user that mounted it.
 */
export function hasAdmin({ pid, uid }: Pick<Request, 'pid' | 'uid'>): boolean {
  // User 0 of another namespace has no rights outside of it.
  if (ours !== undefined && ours !== INITIAL_USER_NAMESPACE) return false;
  const caller = canFindProcesses ? credentialsOf(pid) : undefined;
  if (caller === undefined || caller.uid !== uid) return uid === 0;
  return caller.userNamespace === ours && hasAdminRight(caller);
}

/**
 * EPERM if this process may not register files that the kernel then reads by itself, as the mode `shared` does:
 * FUSE_DEV_IOC_BACKING_OPEN needs CAP_SYS_ADMIN in the initial user namespace. The kernel checks the capability only
 * after the mount, so this function checks it before. If /proc does not show the capabilities, this function throws
 * nothing, and the kernel decides later.
 */
export function requireBackingFiles(): void {
  const own = credentialsOf('self');
  if (own === undefined) return;
  const { userNamespace = INITIAL_USER_NAMESPACE } = own;
  if (hasAdminRight(own) && userNamespace === INITIAL_USER_NAMESPACE) return;
  const note =
    '--io shared takes root outside of user namespaces, since the kernel registers files for nobody else: ' +
    'use --io cached or --io direct';
  throw new FsError('EPERM', { syscall: 'mount', note });
}

/** True if the capabilities include CAP_SYS_ADMIN, in the user namespace of their process. */
function hasAdminRight({ capabilities }: CallerCredentials): boolean {
  return ((capabilities >> CAP_SYS_ADMIN) & 1n) === 1n;
}

interface CallerCredentials {
  /** The user whose rights count for access to files: fsuid, credentials(7). */
  readonly uid: number;
  readonly capabilities: bigint;
  readonly userNamespace: string | undefined;
}

/** The credentials of a process, from /proc; undefined if this process may not read them there. */
function credentialsOf(pid: number | 'self'): CallerCredentials | undefined {
  const userNamespace = linkOf(`/proc/${pid}/ns/user`);
  if (userNamespace === undefined && ours !== undefined) return undefined;
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return undefined;
  }
  const uid = /^Uid:\s+\d+\s+\d+\s+\d+\s+(\d+)$/m.exec(status)?.[1];
  const capabilities = /^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1];
  if (uid === undefined || capabilities === undefined) return undefined;
  return { uid: Number(uid), capabilities: BigInt(`0x${capabilities}`), userNamespace };
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
