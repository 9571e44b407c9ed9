/** Waiting that gives the thread to everybody else: between the pieces of work that takes long. */

/** Lets timers and other work of the process run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
