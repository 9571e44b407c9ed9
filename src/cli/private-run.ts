/**
 * Runs a command in a mount namespace of its own, in which a tree is mounted over a directory: only the command and
 * its children see it there. They have a PID namespace too: whatever ends this process or the command ends
 * all of them, by the kernel's own rule (pid_namespaces(7); docs/decisions/0019-a-run-is-a-pid-namespace.md).
 * unshare(1) and mount(8) are util-linux's, or busybox's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { rememberTerminal } from '../sys/index.ts';
import { CommandError } from './problem.ts';

export interface PrivateRun {
  /** The mount point of the tree. */
  readonly source: string;
  /** The directory that shows it, and the command's working directory; absolute. */
  readonly at: string;
  readonly command: readonly string[];
  /** Then the command is sent SIGTERM, and `GRACE_MS` later all processes are killed. */
  readonly timeoutMs?: number | undefined;
}

export interface PrivateRunEnd {
  /** The command's exit code, 128 and the signal's number where it died of one, 124 after `timeoutMs`. */
  readonly code: number;
  /** Names of programs that the command left running, and that were killed when it ended. */
  readonly left: readonly string[];
}

/** As timeout(1). */
const TIMED_OUT = 124;
const GRACE_MS = 5_000;
/** A longer one would fire at once; 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * Process 1 of the namespace: with it all others end. $1 is mounted over $2, which becomes the working directory; what
 * follows after $4 is the command. Trees that other commands run in, of any store, are left out of the namespace: it
 * would keep them in use for as long as it lives. $3 and $4 are the scripts of two children: one does what the caller
 * says on descriptor 4, the other becomes the command. Descriptor 2 is read by the caller: what goes wrong before the
 * command, `ready` with the command's number, `left` for each program that is left, `ended` with the exit code. The
 * command's own stderr is descriptor 3.
 */
const FIRST = `
sh -c "$3" <&4 >/dev/null 2>&1 3>&- 4<&- &
mounts=$(cat /proc/self/mountinfo)
echo "$mounts" | while read -r _ _ _ _ place rest; do
  case "$place $rest" in */run/mounts/*' - fuse.ramet '*) ;; *) continue ;; esac
  place=$(printf %b "$place")
  [ "$place" = "$1" ] || umount -l -- "$place" 2>/dev/null
done
mount --bind -- "$1" "$2" && cd -- "$2" || exit
mount -t proc -o nosuid,nodev,noexec proc /proc 2>/dev/null && proc=/proc
begin=$4
trap : HUP INT QUIT TERM
shift 4
sh -c "$begin" ramet "$@" 4<&-
code=$?
for process in \${proc:+"$proc"/[0-9]*}; do
  case $process in /proc/1 | "/proc/$!") continue ;; esac
  [ -e "$process/exe" ] && read -r name <"$process/comm" && echo "left $name" >&2
done
echo "ended $code" >&2
exit "$code"
`;
/**
 * Sends the command the signals that the caller names, and kills everything when the caller's end of the descriptor
 * closes: again and again, since process 1 may be about to begin the command.
 */
const OBEY = `
trap '' HUP INT QUIT TERM
while read -r signal pid; do kill -s "$signal" "$pid"; done
while :; do kill -s KILL -- -1; done
`;
const BEGIN = `
echo "ready $$" >&2
exec "$@" 2>&3 3>&-
`;

/** Without root, the script mounts as root of a user namespace; a nested one gives the command its own user again. */
function namespaceOf(): { readonly options: readonly string[]; readonly begin: string } {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (uid === 0) return { options: [], begin: BEGIN };
  const back = `set -- unshare --user --map-user=${uid} --map-group=${gid} -- "$@"`;
  return { options: ['--user', '--map-root-user'], begin: back + BEGIN };
}

/** Returns when the command and all that it has left have ended. */
export async function runPrivately(run: PrivateRun): Promise<PrivateRunEnd> {
  const { options, begin } = namespaceOf();
  const inner = ['sh', '-c', FIRST, 'ramet', run.source, run.at, OBEY, begin, ...run.command];
  const reins = new Reins();
  const giveTerminalBack = rememberTerminal(0);
  // Before the command begins: it may be sent a signal as soon as it says so.
  const stopForwarding = forwardSignals((signal) => reins.send(signal));
  let grace: NodeJS.Timeout | undefined;
  let isLate = false;
  const end = (): void => {
    isLate = true;
    reins.send('SIGTERM');
    grace = setTimeout(() => reins.drop(), GRACE_MS);
  };
  const { timeoutMs } = run;
  const timeout = timeoutMs === undefined ? undefined : setTimeout(end, Math.min(timeoutMs, TIMER_MS_MAX));
  try {
    const namespaces = ['--mount', '--pid', '--fork', '--propagation', 'slave'];
    const child = spawn('unshare', [...options, ...namespaces, '--', ...inner], {
      stdio: ['inherit', 'inherit', 'pipe', 2, 'pipe'],
    });
    reins.hold(child);
    const code = await exitCode(child);
    if (reins.pid === undefined) throw notBegun(run.at, reins.said);
    return { code: isLate ? TIMED_OUT : (reins.endedWith ?? code), left: reins.left };
  } finally {
    clearTimeout(timeout);
    clearTimeout(grace);
    reins.drop();
    giveTerminalBack();
    stopForwarding();
  }
}

function notBegun(at: string, said: string): CommandError {
  return new CommandError(
    'EPERM',
    `the tree could not be mounted at '${at}' for the command alone: ${said.trim().replaceAll('\n', ', ')}`,
    'it takes root, or a host that lets users make user namespaces; `ramet mount` mounts for everybody',
  );
}

/** What is said to and by the processes that lead the command. They kill everything when this process has gone. */
class Reins {
  said = '';
  private readonly unsent: string[] = [];
  private line: Writable | undefined;

  hold(child: ChildProcess): void {
    // The cast: the fifth descriptor was asked to be a pipe, which of a child is a socket.
    this.line = child.stdio[4] as Writable;
    // Who reads it may have ended.
    this.line.on('error', () => undefined);
    child.stderr?.on('data', (bytes: Buffer) => {
      this.said += bytes.toString();
      this.flush();
    });
  }

  /** The command's number in its namespace; undefined as long as it has not begun. */
  get pid(): string | undefined {
    return this.words('ready')[0];
  }

  /** Undefined where the first process was killed itself. */
  get endedWith(): number | undefined {
    const [code] = this.words('ended');
    return code === undefined ? undefined : Number(code);
  }

  get left(): string[] {
    return this.words('left');
  }

  private words(kind: string): string[] {
    return [...this.said.matchAll(new RegExp(`^${kind} (.*)$`, 'gm'))].map(([, word]) => word!);
  }

  send(signal: NodeJS.Signals): void {
    this.unsent.push(signal.slice('SIG'.length));
    this.flush();
  }

  private flush(): void {
    const { pid, line } = this;
    if (pid === undefined || line === undefined) return;
    for (const signal of this.unsent.splice(0)) line.write(`${signal} ${pid}\n`);
  }

  drop(): void {
    this.line?.destroy();
  }
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
