/** The process at the other end of a Unix socket. */
import { loadLibc } from './libc.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;

export interface Peer {
  /** The process id in the PID namespace of this process; 0 for a process outside that namespace. */
  readonly pid: number;
  readonly uid: number;
}

/**
 * The process that connected, as the kernel recorded it at that time: SO_PEERCRED of unix(7). Undefined without libc.
 */
export function peerOf(socket: number): Peer | undefined {
  const libc = loadLibc();
  if (libc instanceof Error) return undefined;
  // struct ucred: pid, uid, gid.
  const credentials = new Uint32Array(3);
  const length = Uint32Array.of(credentials.byteLength);
  if (libc.getsockopt(socket, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0) return undefined;
  return { pid: credentials[0]!, uid: credentials[1]! };
}
