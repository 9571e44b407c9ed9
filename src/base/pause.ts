/** Waiting without giving the thread to anybody else: for locks that another process is about to give back. */

/** Nobody ever wakes up who waits here. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps for so many milliseconds, which may be a fraction of one. */
export function pause(ms: number): void {
  Atomics.wait(NEVER, 0, 0, ms);
}
