/** Gives the terminal of this process back to the process group that had it. */
import { loadLibc } from './libc.ts';

const SIGTTOU = 22;
const SIG_DFL = 0;
const SIG_IGN = 1;

/**
 * A shell that has job control takes the terminal for itself and gives it back when it ends, tcsetpgrp(3). A shell in a
 * PID namespace cannot give it back, because the shell does not see the process group that had the terminal. Call the
 * returned function when the shell has ended. If the group that has the terminal is gone by then, the function gives
 * the terminal to the group that had it at the start.
 */
export function rememberTerminal(fd: number): () => void {
  const libc = loadLibc();
  if (libc instanceof Error) return () => undefined;
  const before = libc.tcgetpgrp(fd);
  return () => {
    const now = libc.tcgetpgrp(fd);
    // -1: `fd` is no terminal. 0: the group is outside of this PID namespace.
    if (before <= 0 || now <= 0 || now === before || isAlive(now)) return;
    // The kernel stops a background process that makes this call, unless the process ignores SIGTTOU.
    libc.signal(SIGTTOU, SIG_IGN);
    libc.tcsetpgrp(fd, before);
    libc.signal(SIGTTOU, SIG_DFL);
  };
}

function isAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    // The cast: an error that Node.js throws for a system call has a code. EPERM: the group belongs to another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
