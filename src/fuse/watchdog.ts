/**
 * The watchdog, a separate thread. While the serving thread stands still, programs that use its mounts wait and cannot
 * even be killed. After a time limit the watchdog therefore aborts the mounts that programs wait for (fusectl,
 * Documentation/filesystems/fuse/fuse.rst). The programs get ENOTCONN. No acknowledged operation is lost: all are in
 * the journal.
 */
import { Worker } from 'node:worker_threads';

export class Watchdog {
  private readonly limitMs: number;
  /** Counts turns of the serving loop; shared with the thread that watches. */
  private readonly turns = new Int32Array(new SharedArrayBuffer(4));
  /** Numbers of the connections to watch, by owner. */
  private readonly connections = new Map<object, number>();
  private worker: Worker | undefined;

  /** The watchdog aborts mounts after `limitMs` without a turn of the serving loop. */
  constructor(limitMs: number) {
    this.limitMs = limitMs;
  }

  noteTurn(): void {
    Atomics.add(this.turns, 0, 1);
  }

  /** Watches a connection on behalf of `owner`. */
  add(owner: object, connection: number): void {
    this.connections.set(owner, connection);
    this.postConnections();
  }

  remove(owner: object): void {
    if (this.connections.delete(owner)) this.postConnections();
  }

  private postConnections(): void {
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
