/**
 * Runs a command in its own mount namespace, in which a tree is mounted over a directory: only the command and its
 * children see the tree there. They also have their own PID namespace: when this process or the command ends for any
 * reason, the kernel kills all of them (pid_namespaces(7); docs/decisions/0019-a-run-is-a-pid-namespace.md). unshare(1)
 * and mount(8) come from util-linux or busybox; the words "for any reason" hold with those of util-linux (see `LEASH`).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { rememberTerminal } from '../sys/index.ts';
import { CommandError } from './problem.ts';

export interface PrivateRun {
  /** The mount point of the tree. */
  readonly source: string;
  /** Absolute path of the directory where the command sees the tree; also its working directory. */
  readonly at: string;
  /** The same path without symlinks. */
  readonly realAt: string;
  readonly command: readonly string[];
  /** Time limit. When it has passed, the command gets SIGTERM. `GRACE_MS` later all processes are killed. */
  readonly timeoutMs?: number | undefined;
}

export interface PrivateRunEnd {
  /** The command's exit code; 128 plus the signal's number if a signal killed the command; 124 after `timeoutMs`. */
  readonly code: number;
  /** Names of the programs that still ran when the command ended, and that were killed then. */
  readonly left: readonly string[];
}

const SWAPPED = 'something else came to its place meanwhile';

/** The exit code of timeout(1) after a timeout. */
const TIMED_OUT = 124;
const GRACE_MS = 5_000;
/** How long the scripts may take to kill everything and say what was left, before the kernel does it. */
const LAST_GRACE_MS = 1_000;
/** The longest timer of Node, 24 days; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * The script of process 1 of the namespace; when it ends, all others end. It mounts $1 over $5, the real path of $2,
 * and makes $2 the working directory; if $2 does not show the tree then, the command does not begin. Arguments after $6
 * are the command. The script unmounts, in this namespace only, the trees that other commands of the user $6 run in, of
 * any store; otherwise the namespace would keep those trees in use. It leaves mounts of other users alone, because the
 * paths of these may lead elsewhere by now.
 *
 * $3 and $4 are the scripts of two children: OBEY reads what this program writes to descriptor 4, and BEGIN becomes the
 * command. This program reads descriptor 2: errors from before the command, `ready` with the command's process number,
 * `left` for each program that still runs at the end, and `ended` with the exit code. Descriptor 3 is the command's own
 * stderr.
 */
const FIRST = `
sh -c "$3" <&4 >/dev/null 2>&1 3>&- 4<&- &
mounts=$(cat /proc/self/mountinfo)
echo "$mounts" | while read -r _ _ _ _ place rest; do
  case "$place $rest" in */run/mounts/*' - fuse.ramet '*"user_id=$6,"*) ;; *) continue ;; esac
  place=$(printf %b "$place")
  [ "$place" = "$1" ] || umount -l -- "$place" 2>/dev/null
done
mount --bind -- "$1" "$5" && cd -- "$2" || exit
if ! [ . -ef "$1" ] || [ "$(pwd -P; echo .)" != "$5
." ]; then
  echo '${SWAPPED}' >&2
  exit 1
fi
mount -t proc -o nosuid,nodev,noexec proc /proc 2>/dev/null && proc=/proc
begin=$4
trap : HUP INT QUIT TERM
shift 6
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
 * Sends the command the signals that this program names. When this program's end of descriptor 4 closes, kills
 * everything in a loop, because process 1 may be about to start the command.
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

/**
 * Options of unshare(1), and the script that becomes the command. Without root, the script mounts as root of a new user
 * namespace, and the command runs in a nested one that maps it back to its own user.
 */
function namespaceOf(): { readonly options: readonly string[]; readonly begin: string } {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (uid === 0) return { options: [], begin: BEGIN };
  const back = `set -- unshare --user --map-user=${uid} --map-group=${gid} -- "$@"`;
  return { options: ['--user', '--map-root-user'], begin: back + BEGIN };
}

/**
 * Starts unshare(1) such that the kernel kills it when the thread that spawned it ends, here the main thread, and
 * process 1 of the namespace when unshare(1) ends. Unlike OBEY, this is out of the command's reach: the command can
 * kill or stop all processes of the namespace except process 1.
 */
const LEASH = ['setpriv', '--pdeathsig', 'KILL', 'unshare', '--kill-child'] as const;

/** How to start unshare(1): with `LEASH` where setpriv(1) and unshare(1) know its options, as busybox's do not. */
function startOfUnshare(): readonly [program: string, ...options: string[]] {
  const [program, ...options] = LEASH;
  const { status } = spawnSync(program, [...options, '--version'], { stdio: 'ignore' });
  return status === 0 ? LEASH : ['unshare'];
}

/** Runs a command. Resolves when the command and all programs that it started have ended. */
export async function runPrivately(run: PrivateRun): Promise<PrivateRunEnd> {
  const { options, begin } = namespaceOf();
  const { source, at, realAt, command } = run;
  const user = String(process.geteuid?.() ?? 0);
  const inner = ['sh', '-c', FIRST, 'ramet', source, at, OBEY, begin, realAt, user, ...command];
  const reins = new Reins();
  const giveTerminalBack = rememberTerminal(0);
  // Forwarding starts before the command begins, so that no signal to this process is lost.
  const stopForwarding = forwardSignals((signal) => reins.send(signal));
  let grace: NodeJS.Timeout | undefined;
  let isLate = false;
  const end = (): void => {
    isLate = true;
    reins.send('SIGTERM');
    grace = setTimeout(() => {
      reins.drop();
      grace = setTimeout(() => reins.kill(), LAST_GRACE_MS);
    }, GRACE_MS);
  };
  const { timeoutMs } = run;
  const timeout = timeoutMs === undefined ? undefined : setTimeout(end, Math.min(timeoutMs, TIMER_MS_MAX));
  try {
    const namespaces = ['--mount', '--pid', '--fork', '--propagation', 'slave'];
    const [program, ...leash] = startOfUnshare();
    const child = spawn(program, [...leash, ...options, ...namespaces, '--', ...inner], {
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
  if (said.includes(SWAPPED)) return new CommandError('ESTALE', `'${at}': ${SWAPPED}`, 'try again');
  return new CommandError(
    'EPERM',
    `the tree could not be mounted at '${at}' for the command alone: ${said.trim().replaceAll('\n', ', ')}`,
    'it takes root, or a host that lets users make user namespaces; `ramet mount` mounts for everybody',
  );
}

/** The connection to the scripts that run the command. When it closes, the scripts kill everything. */
class Reins {
  said = '';
  private readonly unsent: string[] = [];
  private line: Writable | undefined;
  private child: ChildProcess | undefined;

  hold(child: ChildProcess): void {
    this.child = child;
    // The cast: `spawn` was told to make descriptor 4 a pipe, for which Node makes a socket.
    this.line = child.stdio[4] as Writable;
    // Writes may fail, because the script that reads the line may have ended.
    this.line.on('error', () => undefined);
    child.stderr?.on('data', (bytes: Buffer) => {
      this.said += bytes.toString();
      this.flush();
    });
  }

  /** The command's process number in its namespace; undefined until it begins. */
  get pid(): string | undefined {
    return this.words('ready')[0];
  }

  /** The command's exit code; undefined until it ends, and for ever if process 1 was killed. */
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

  /** Ends the namespace even if the command has killed or stopped OBEY; needs `LEASH`. */
  kill(): void {
    this.child?.kill('SIGKILL');
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

/** Signals that a terminal sends to all of its foreground processes, and so to the command as well. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];
/**
 * Signals to pass on to the command. Somebody sends them to this process on purpose, and means the command. Like
 * timeout(1), this passes on no stop signals. Signals for faults, such as SIGSEGV, are about this process.
 */
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
