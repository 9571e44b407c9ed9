/**
 * Runs a command in a mount namespace of its own, in which a tree is mounted over a directory: only the command and its
 * children see it there. unshare(1) and mount(8) are util-linux's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { CommandError } from './problem.ts';

export interface PrivateRun {
  /** The mount point of the tree. */
  readonly source: string;
  /** The directory that shows it, and the command's working directory; absolute. */
  readonly at: string;
  readonly command: readonly string[];
  /** The directory that holds the mount points of all running commands. */
  readonly otherRuns: string;
}

const READY = 'ready\n';

/**
 * Mounts $1 over $2, which becomes the working directory, and runs the command that follows $3. The trees of other
 * commands, mounted in $3, are unmounted in the namespace, which would keep them in use for as long as it lives.
 * Failures before the command begins go to descriptor 2, which only the caller reads; the command's own stderr is
 * descriptor 3. When the caller is killed, so is the command: by the kernel, or, where setpriv(1) cannot ask for that,
 * by a shell that waits for the caller's end of descriptor 4 to close. A caller that ends normally writes a line there
 * first.
 */
const PREPARE = `
for place in "$3"/*; do [ "$place" = "$1" ] || umount -l -- "$place" 2>/dev/null; done
mount --bind -- "$1" "$2" && cd -- "$2" || exit
shift 3
if setpriv --pdeathsig KILL true 2>/dev/null; then set -- setpriv --pdeathsig KILL -- "$@"
else { read -r _ <&4 || kill -KILL $$; } >/dev/null 2>&1 3>&- &
fi
`;
const BEGIN = `
echo ready >&2
exec "$@" 2>&3 3>&- 4<&-
`;

/** Without root, the script mounts as root of a user namespace; a nested one gives the command its own user again. */
function namespaceOf(): { readonly options: readonly string[]; readonly script: string } {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (uid === 0) return { options: ['--mount'], script: PREPARE + BEGIN };
  const back = `set -- unshare --user --map-user=${uid} --map-group=${gid} -- "$@"\n`;
  return { options: ['--user', '--map-root-user', '--mount'], script: PREPARE + back + BEGIN };
}

/** Returns the command's exit code, or 128 plus the number of the signal that ended it. */
export async function runPrivately(run: PrivateRun): Promise<number> {
  const { options, script } = namespaceOf();
  const inner = ['sh', '-c', script, 'ramet', run.source, run.at, run.otherRuns, ...run.command];
  let said = '';
  let child: ChildProcess | undefined;
  // Before the command begins: once it has said that it runs, a signal may come at any time.
  const stopForwarding = forwardSignals((signal) => child?.kill(signal));
  try {
    child = spawn('unshare', [...options, '--propagation', 'slave', '--', ...inner], {
      stdio: ['inherit', 'inherit', 'pipe', 2, 'pipe'],
    });
    sayWhenEnded(child);
    child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    const code = await exitCode(child);
    if (said.endsWith(READY)) return code;
    throw new CommandError(
      'EPERM',
      `the tree could not be mounted at '${run.at}' for the command alone: ${said.trim().replaceAll('\n', ', ')}`,
      'it takes root, or a host that lets users make user namespaces; `ramet mount` mounts for everybody',
    );
  } finally {
    stopForwarding();
  }
}

/** Says on descriptor 4 that the command has ended, so that the shell does not kill it. */
function sayWhenEnded(child: ChildProcess): void {
  // The cast: the fifth descriptor was asked to be a pipe, and a child's pipes are sockets here.
  const lifeline = child.stdio[4] as Writable;
  // With setpriv(1) nobody reads it.
  lifeline.on('error', () => undefined);
  child.once('exit', () => lifeline.end('ended\n'));
}

function exitCode(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', () =>
      reject(new CommandError('ENOENT', 'there is no unshare(1) here', 'install util-linux')),
    );
    child.once('close', (code, signal) =>
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]),
    );
  });
}

/** The terminal sends these to all of its foreground processes, so the command gets them itself. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];
/** Signals that are sent on purpose. Stop signals are not forwarded, as with timeout(1), and faults are our own. */
const FORWARDED: readonly NodeJS.Signals[] = [
  ...FROM_TERMINAL,
  'SIGTERM',
  'SIGHUP',
  'SIGUSR1',
  'SIGUSR2',
  'SIGCONT',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGURG',
];

function forwardSignals(send: (signal: NodeJS.Signals) => void): () => void {
  const forward = (signal: NodeJS.Signals): void => {
    if (process.stdin.isTTY && FROM_TERMINAL.includes(signal)) return;
    send(signal);
  };
  for (const signal of FORWARDED) process.on(signal, forward);
  return () => {
    for (const signal of FORWARDED) process.off(signal, forward);
  };
}
