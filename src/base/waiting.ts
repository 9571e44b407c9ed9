/** Ways to wait: block the thread, let other work run, or retry while another process holds a fork or a lock. */
import { isFsError } from './errors.ts';

/** Nothing ever notifies this, so a wait on it lasts until the wait's timeout. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps for this many milliseconds, fractions included. Nothing else in this thread runs meanwhile. */
export function sleepBlocking(ms: number): void {
  Atomics.wait(NEVER, 0, 0, ms);
}

/** Lets timers and other work of this thread run, between the pieces of a long task. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How long to wait for another process that holds a fork or a lock, before EBUSY is final. */
const BUSY_WAIT_MS = 1_000;
/** The same for `whileBusyBlocking`. */
const BUSY_WAIT_BLOCKING_MS = 50;
const STEP_MS = 5;
const STEP_MS_MAX = 50;
const STEP_BLOCKING_MS = 10;

/** Runs `attempt` until it no longer fails with EBUSY. Throws that EBUSY once the pauses add up to `waitMs`. */
export async function whileBusy<T>(attempt: () => T | Promise<T>, waitMs = BUSY_WAIT_MS): Promise<T> {
  for (let waitedMs = 0, stepMs = STEP_MS; ; stepMs = Math.min(stepMs * 2, STEP_MS_MAX)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isFsError(error, 'EBUSY') || waitedMs >= waitMs) throw error;
    }
    const pauseMs = stepMs;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    waitedMs += pauseMs;
  }
}

/** Like `whileBusy`, but waits for a shorter time, because the wait blocks the thread. */
export function whileBusyBlocking<T>(attempt: () => T): T {
  for (let waitedMs = 0; ; waitedMs += STEP_BLOCKING_MS) {
    try {
      return attempt();
    } catch (error) {
      if (!isFsError(error, 'EBUSY') || waitedMs >= BUSY_WAIT_BLOCKING_MS) throw error;
    }
    sleepBlocking(STEP_BLOCKING_MS);
  }
}
