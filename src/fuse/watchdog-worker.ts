/** The thread of `Watchdog`: aborts mounts if the serving loop makes no turn for `limitMs`. */
import { existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { isFsError } from '../base/index.ts';
import { createKernel } from '../sys/index.ts';

const CONNECTIONS = '/sys/fs/fuse/connections';
const STDERR = 2;

const { turns, limitMs } = workerData as { turns: Int32Array; limitMs: number };
let connections: readonly number[] = [];
let lastTurns = -1;
let lastTurnAt = performance.now();

parentPort?.on('message', (numbers: readonly number[]) => {
  connections = numbers;
});

/** Aborts a connection that programs wait for. Does nothing if the connection has ended or belongs to another user. */
function abortIfAwaited(connection: number): void {
  try {
    if (Number(readFileSync(`${CONNECTIONS}/${connection}/waiting`, 'utf8')) === 0) return;
    writeFileSync(`${CONNECTIONS}/${connection}/abort`, '1');
    // Writes to the descriptor, because a worker's `process.stderr` goes through the main thread, which is stuck.
    writeSync(STDERR, `ramet: mount ${connection} was stuck for ${limitMs / 1000} s, and is aborted\n`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
  }
}

/**
 * Mounts fusectl, the filesystem through which connections are aborted, unless the system has mounted it already, as
 * many systems do.
 */
function mountControl(): void {
  const kernel = createKernel();
  if (kernel instanceof Error || existsSync(`${CONNECTIONS}/${connections[0]}`)) return;
  try {
    kernel.mount('fusectl', CONNECTIONS, 'fusectl', 0, '');
  } catch (error) {
    if (!isFsError(error)) throw error;
  }
}

setInterval(() => {
  const now = performance.now();
  const count = Atomics.load(turns, 0);
  if (count !== lastTurns) {
    lastTurns = count;
    lastTurnAt = now;
    return;
  }
  if (connections.length === 0 || now - lastTurnAt < limitMs) return;
  mountControl();
  for (const connection of connections) abortIfAwaited(connection);
}, limitMs / 8);
