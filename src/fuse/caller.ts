/** The rights of a request's caller, and of this process. Requests name a process and a user; proc(5) has the rest. */
import { readFileSync, readlinkSync } from 'node:fs';
import { FsError } from '../base/index.ts';
import { type Caller, trustedCaller } from '../vfs/index.ts';
import type { Request } from './request.ts';

/** The kernel, on behalf of any program: it has checked permission already. */
export const KERNEL: Caller = trustedCaller(0, 0, 0);
const CLEARING_KERNEL: Caller = trustedCaller(0, 0, 0, true);

/** `KERNEL`, or its like with `clearsSetId`. */
export function kernelFor(clearsSetId: boolean): Caller {
  return clearsSetId ? CLEARING_KERNEL : KERNEL;
}

/** As `KERNEL`, but new inodes belong to the user of the request. */
export function makerOf({ uid, gid }: Request, umask: number): Caller {
  return trustedCaller(uid, gid, umask);
}

/** capabilities(7). */
const CAP_SYS_ADMIN = 21n;
/** PROC_USER_INIT_INO of linux/nsfs.h, as its link in /proc shows it. */
const INITIAL_USER_NAMESPACE = `user:[${0xeffffffd}]`;

/** This process's user namespace; undefined where the kernel has none. */
const ours = linkOf('/proc/self/ns/user');
/** False where /proc shows another process namespace than requests do. */
const canFindProcesses = linkOf('/proc/self') === String(process.pid);

/**
 * Whether the caller has CAP_SYS_ADMIN in the initial user namespace, without which the kernel shows no attribute of
 * `trusted.` (capable(), fs/xattr.c). Where that is unknown, user 0 is assumed to have it: this process may not look,
 * the caller is in another process namespace, or the request has another user's credentials, as an overlay asks its
 * layers with those of the user that mounted it.
 */
export function hasAdmin({ pid, uid }: Pick<Request, 'pid' | 'uid'>): boolean {
  // User 0 of another namespace has no rights outside of it.
  if (ours !== undefined && ours !== INITIAL_USER_NAMESPACE) return false;
  const caller = canFindProcesses ? credentialsOf(pid) : undefined;
  if (caller === undefined || caller.uid !== uid) return uid === 0;
  return caller.userNamespace === ours && hasAdminRight(caller);
}

/**
 * EPERM where this process may not give the kernel files to read by itself, as the mode `shared` does:
 * FUSE_DEV_IOC_BACKING_OPEN needs CAP_SYS_ADMIN in the initial user namespace. The kernel checks that only on a mount,
 * so this asks before there is one. Where /proc does not show it, the kernel decides.
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

/** Whether CAP_SYS_ADMIN is among the capabilities, in the user namespace of the process. */
function hasAdminRight({ capabilities }: CallerCredentials): boolean {
  return ((capabilities >> CAP_SYS_ADMIN) & 1n) === 1n;
}

interface CallerCredentials {
  /** The user as whom files are accessed: fsuid, credentials(7). */
  readonly uid: number;
  readonly capabilities: bigint;
  readonly userNamespace: string | undefined;
}

/** Undefined where the process cannot be looked at. */
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
