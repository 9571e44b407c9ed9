/**
 * The watchdog: where the serving thread stands still, every program that uses one of its mounts waits for ever, and
 * cannot even be killed meanwhile. Then the watchdog, a thread of its own, aborts the mounts that programs wait for
 * (fusectl, Documentation/filesystems/fuse/fuse.rst): the programs get ENOTCONN, and what was acknowledged is in the
 * journal.
 */
import { Worker } from 'node:worker_threads';

export class Watchdog {
  private readonly limitMs: number;
  /** Counts turns of the serving loop; shared with the thread that watches. */
  private readonly turns = new Int32Array(new SharedArrayBuffer(4));
  private readonly connections = new Map<object, number>();
  private worker: Worker | undefined;

  /** Aborts after `limitMs` without a turn. */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }

  /** The serving thread is alive. */
  noteTurn(): void {
    Atomics.add(this.turns, 0, 1);
  }

  /** Watches a connection on behalf of `owner`. */
  add(owner: object, connection: number): void {
    this.connections.set(owner, connection);
    this.tell();
  }

  remove(owner: object): void {
    if (this.connections.delete(owner)) this.tell();
  }

  private tell(): void {
    if (this.worker === undefined) {
      const { turns, limitMs } = this;
      this.worker = new Worker(new URL('./watchdog-worker.js', import.meta.url), {
        workerData: { turns, limitMs },
      });
      this.worker.unref();
    }
    this.worker.postMessage([...this.connections.values()]);
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
    this.worker = undefined;
  }
}

/** The number of a mount's connection: the minor number of its device, `major:minor`. */
export function connectionOf(device: string): number {
  return Number(device.split(':')[1]);
}
