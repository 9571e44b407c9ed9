/** Whether this process may give the kernel files to read by itself, as the mode `shared` does. */
import { FsError } from '../base/index.ts';
import { credentialsOf, hasAdminRight, INITIAL_USER_NAMESPACE } from './caller.ts';

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
  const own = credentialsOf('self');
  if (own === undefined) return true;
  return hasAdminRight(own) && (own.userNamespace ?? INITIAL_USER_NAMESPACE) === INITIAL_USER_NAMESPACE;
}
