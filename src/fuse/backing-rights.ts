/** Whether this process may give the kernel files to read by itself, as the mode `shared` does. */
import { readFileSync, readlinkSync } from 'node:fs';
import { FsError } from '../base/index.ts';
import { CAP_SYS_ADMIN, INITIAL_USER_NAMESPACE } from './caller.ts';

/**
 * EPERM where it may not: FUSE_DEV_IOC_BACKING_OPEN needs CAP_SYS_ADMIN in the initial user namespace. The kernel
 * checks only once a mount is there, so this asks before.
 */
export function requireBackingFiles(): void {
  if (mayRegister()) return;
  const note =
    '--io shared takes root outside of user namespaces, since the kernel registers files for nobody else: ' +
    'use --io cached or --io direct';
  throw new FsError('EPERM', { syscall: 'mount', note });
}

/** True where /proc does not show it: then the kernel decides. */
function mayRegister(): boolean {
  try {
    const capabilities = /^CapEff:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
    if (capabilities !== undefined && ((BigInt(`0x${capabilities}`) >> CAP_SYS_ADMIN) & 1n) === 0n)
      return false;
    return readlinkSync('/proc/self/ns/user') === INITIAL_USER_NAMESPACE;
  } catch {
    return true;
  }
}
