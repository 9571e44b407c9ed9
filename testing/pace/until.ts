/** Waiting for something to hold, on a machine that may be busy: only what never comes to hold fails. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

const PATIENCE_MS = 60_000;
const PAUSE_MS = 20;

/** Asks until `holds` says yes; `what` is said where it never does. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const endMs = performance.now() + PATIENCE_MS; !(await holds()); await pause(PAUSE_MS)) {
    assert.ok(performance.now() < endMs, `not in ${PATIENCE_MS / 1000} s: ${what}`);
  }
}

/** Whether there is a process with this number that has not ended. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
