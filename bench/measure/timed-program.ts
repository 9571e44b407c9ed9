/** Timed runs of programs of the host, which a time limit or the end of the benchmark may stop. */
import { spawn } from 'node:child_process';

/** Process groups of the programs that are running. */
const running = new Set<number>();

export interface FinishedProgram {
  readonly output: string;
  readonly elapsedMs: number;
}

function stop(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // The process group has just ended.
  }
}

/** Kills all programs that are running, with their children. */
export function stopPrograms(): void {
  for (const group of running) stop(group);
}

/**
 * Runs a program in a process group of its own. If it exits with a code other than 0, the error has its standard error;
 * if it takes longer than `limitMs`, it is killed, and the error says so.
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
