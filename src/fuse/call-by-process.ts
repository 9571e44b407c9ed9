/**
 * Makes a call in a child process, because another server could hold the call up, and gives the call up after a while.
 * Nothing can kill a thread that waits for a FUSE server which has read its request. In the owner, such a thread would
 * keep the process from ending. All of its mounts would stay, and the programs that use them would wait too. A child
 * process can be left behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FsError, type PlainFsError } from '../base/index.ts';
import type { PathCall } from './blocking-call.ts';

const MAIN = fileURLToPath(new URL('./call-process.js', import.meta.url));
/**
 * How long to wait for the child process. Even a remote server answers sooner, and an owner that ends has time for two
 * such waits.
 */
const WAIT_MS_MAX = 4_000;
/** The number of the call's descriptor in the child process. */
const DESCRIPTOR = 3;
const SYSCALLS = {
  mount: 'mount',
  mountByHelper: 'mount',
  unmount: 'umount',
  sync: 'syncfs',
  dropUnusedNames: 'fsconfig',
  lookUp: 'openat2',
} as const;

/** The child process's report, as JSON: null after success. */
export type ProcessReport = PlainFsError | null;

/** Fails with the error of the call; ETIMEDOUT if the mount at `served`, which lies on the path, does not answer. */
export async function callByProcess(call: PathCall, served: string): Promise<void> {
  const names = { syscall: SYSCALLS[call.kind], path: call.directory };
  const hasDescriptor = 'descriptor' in call;
  const passed = hasDescriptor ? { ...call, descriptor: DESCRIPTOR } : call;
  const child = spawn(process.execPath, [MAIN, JSON.stringify(passed)], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore', hasDescriptor ? call.descriptor : 'ignore'],
  });
  const answered = new AbortController();
  try {
    const late = pause(WAIT_MS_MAX, undefined, { signal: answered.signal });
    const report = await Promise.race([reportOf(child), late]);
    if (report === undefined) throw new FsError('ETIMEDOUT', { ...names, note: stuckNote(served) });
    if (report !== null) throw explained(report, served);
  } finally {
    answered.abort();
    child.kill('SIGKILL');
    child.unref();
  }
}

/** Reads the report. EIO if the process cannot be started, or ends without a report. */
async function reportOf(child: ChildProcess): Promise<ProcessReport> {
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  try {
    // The casts: `spawn` was told to make stdout a pipe; the process runs the same version of this program.
    const text = await Promise.race([textOf(child.stdout as Readable), failed]);
    return JSON.parse(text) as ProcessReport;
  } catch (error) {
    throw new FsError('EIO', { syscall: 'spawn', path: process.execPath, note: String(error) });
  }
}

async function textOf(stream: Readable): Promise<string> {
  let text = '';
  for await (const bytes of stream) text += String(bytes);
  return text;
}

function stuckNote(directory: string): string {
  return (
    `what is mounted at ${directory} does not answer: ` +
    `let its server go on, or take it away with all that is mounted in it, \`umount -l ${directory}\``
  );
}

/**
 * The error of the call. ENOTCONN means that a mount on the path has lost its server: then adds which mount, and what
 * to do.
 */
function explained(failure: PlainFsError, directory: string): FsError {
  const error = FsError.fromPlain(failure);
  if (error.code !== 'ENOTCONN') return error;
  const note =
    `the server of what is mounted at ${directory} is gone: ` +
    `take it away with all that is mounted in it, \`umount -l ${directory}\``;
  return error.in({ note });
}
