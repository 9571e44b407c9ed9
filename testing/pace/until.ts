/** Waiting for something to hold, on a machine that may be busy. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 60_000;
const PAUSE_MS = 20;

/** Calls `holds` until it is true; after `PATIENCE_MS` fails with `what` in the message. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const endMs = performance.now() + PATIENCE_MS; !(await holds()); await pause(PAUSE_MS)) {
    assert.ok(performance.now() < endMs, `not in ${PATIENCE_MS / 1000} s: ${what}`);
  }
}

/** Whether there is a process with this id that has not ended. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
