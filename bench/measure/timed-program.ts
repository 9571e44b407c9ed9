/** Programs of the host that are timed: they may be stopped, by a limit or with the benchmark, and are awaited. */
import { spawn } from 'node:child_process';

/** Process groups of the programs that run. */
const running = new Set<number>();

export interface FinishedProgram {
  readonly output: string;
  readonly elapsedMs: number;
}

function stop(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** Ends what runs at the moment, with its children. */
export function stopPrograms(): void {
  for (const group of running) stop(group);
}

/**
 * Runs a program in a process group of its own. Fails with what it said on its standard error where it ends with
 * another code than 0, and says so where it took longer than `limitMs`.
 */
export async function timeProgram(
  limitMs: number,
  program: string,
  ...args: string[]
): Promise<FinishedProgram> {
  const started = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  child.stderr.on('data', (bytes: Buffer) => {
    complaint += bytes.toString();
  });
  let isLate = false;
  const group = child.pid;
  if (group !== undefined) running.add(group);
  const timer = setTimeout(() => {
    isLate = true;
    if (group !== undefined) stop(group);
  }, limitMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (isLate) throw new Error(`it took longer than ${limitMs / 1000} s`);
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${complaint}`);
    return { output, elapsedMs: performance.now() - started };
  } finally {
    clearTimeout(timer);
    if (group !== undefined) running.delete(group);
  }
}

/** Reads every file below a directory, by `find` and `cat`. */
export async function readAll(limitMs: number, root: string): Promise<void> {
  await timeProgram(limitMs, 'sh', '-c', 'find "$1" -type f -exec cat {} + > /dev/null', 'sh', root);
}
