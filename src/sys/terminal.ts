/** The terminal of this process: who has it. */
import { loadLibc } from './libc.ts';

const SIGTTOU = 22;
const SIG_DFL = 0;
const SIG_IGN = 1;

/**
 * A shell that has job control takes the terminal for itself and gives it back when it ends, tcsetpgrp(3). It cannot
 * where it does not see the process group that had it, from within a PID namespace. The function that is returned
 * gives it to that group when the group that has it now is gone.
 */
export function rememberTerminal(fd: number): () => void {
  const libc = loadLibc();
  if (libc instanceof Error) return () => undefined;
  const before = libc.tcgetpgrp(fd);
  return () => {
    const now = libc.tcgetpgrp(fd);
    // -1: it is no terminal. 0: the group is not seen from here.
    if (before <= 0 || now <= 0 || now === before || isAlive(now)) return;
    // Who is in the background is stopped for this, unless it does not care.
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
    // The cast: an error of node's has the code of its errno. EPERM: it is somebody else's.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
