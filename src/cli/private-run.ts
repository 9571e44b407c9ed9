/**
 * Runs a command in a mount namespace of its own, in which a directory is what is mounted somewhere else: only the
 * command and its children see it there. unshare(1) and mount(8) are util-linux's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { CommandError } from './problem.ts';

export interface PrivateRun {
  /** What is seen: the mount point of a tree. */
  readonly source: string;
  /** Where it is seen, and the command's working directory. An absolute path of a directory. */
  readonly at: string;
  readonly command: readonly string[];
  /** The directory with the mount points of trees that other commands run in. */
  readonly otherRuns: string;
}

const READY = 'ready\n';

/**
 * $1 is mounted over $2, which becomes the working directory; what follows after $3 is the command. Trees that other
 * commands run in are mounted in $3, and left out of the namespace: it would keep them in use for as long as it lives.
 * What goes wrong before the command is said on descriptor 2, which nobody but the caller reads; the command's own
 * stderr is descriptor 3. When the caller is killed, so is the command: by the kernel, or where setpriv(1) cannot ask
 * for that, by a shell that waits for the caller's end of descriptor 4 to close. A caller that ends in order says
 * something there first.
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

/** Without root, it mounts as the root of a user namespace, and returns to its own user in a nested one. */
function namespaceOf(): { readonly options: readonly string[]; readonly script: string } {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (uid === 0) return { options: ['--mount'], script: PREPARE + BEGIN };
  const back = `set -- unshare --user --map-user=${uid} --map-group=${gid} -- "$@"\n`;
  return { options: ['--user', '--map-root-user', '--mount'], script: PREPARE + back + BEGIN };
}

/** The command's exit code, 128 and the signal's number where it died of one. */
export async function runPrivately(run: PrivateRun): Promise<number> {
  const { options, script } = namespaceOf();
  const inner = ['sh', '-c', script, 'ramet', run.source, run.at, run.otherRuns, ...run.command];
  let said = '';
  let child: ChildProcess | undefined;
  // Before the command begins: it may be sent a signal as soon as it says so.
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

/** On descriptor 4: that the command has ended, so that nobody needs to be killed. */
function sayWhenEnded(child: ChildProcess): void {
  // The cast: the fifth descriptor was asked to be a pipe, which of a child is a socket.
  const lifeline = child.stdio[4] as Writable;
  // Mostly nobody listens.
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

/** What the terminal sends goes to all of its processes: the command has it already. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];
/** What others send on purpose. What stops a process stops this one alone, as with timeout(1); faults are its own. */
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
