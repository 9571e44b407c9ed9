/** Waiting: with the thread kept, with the thread given to others, and for what somebody else has for a moment. */
import { isFsError } from './errors.ts';

/** Never notified. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps for so many milliseconds, which may be a fraction of one. Nothing else in this process runs meanwhile. */
export function sleepBlocking(ms: number): void {
  Atomics.wait(NEVER, 0, 0, ms);
}

/** Lets timers and other work of this process run: between the pieces of work that takes long. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How long a fork or a lock is waited for that another process has: only a longer hold is an error. */
const BUSY_WAIT_MS = 1_000;
/** The same where the thread is kept. */
const BUSY_WAIT_BLOCKING_MS = 50;
const STEP_MS = 5;
const STEP_MS_MAX = 50;
const STEP_BLOCKING_MS = 10;

/** Runs `attempt` until it is not EBUSY, or for so long; then its EBUSY is thrown. */
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

/** As `whileBusy`, and for a shorter time, since nothing else in this process runs meanwhile. */
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
