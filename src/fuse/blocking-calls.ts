/**
 * Calls that may wait for a server of mounts, this one or another. The serving thread must never make them: a server
 * that waits for itself cannot even be killed. Mounting, unmounting and syncing a filesystem walk a path that may lie
 * on a mount. A notification may wait for a request that has no answer yet (INVAL_INODE over a dirty page).
 *
 * A worker makes these calls, in order. If a path leads through other servers, a separate process makes the call, in
 * parallel and for a bounded time: see `callByProcess`.
 */
import { Worker } from 'node:worker_threads';
import { FsError } from '../base/index.ts';
import type { BlockingCall, BlockingResult } from './blocking-worker.ts';

interface Waiting {
  readonly resolve: (value: number) => void;
  readonly reject: (error: Error) => void;
}

export class BlockingCalls {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;

  /** Makes the call in the worker. Rejects with an `FsError`. */
  run(call: BlockingCall): Promise<number> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      const worker = this.start();
      // The worker keeps the process alive only while a call is pending: see `settle`.
      worker.ref();
      worker.postMessage({ id, call });
    });
  }

  private start(): Worker {
    if (this.worker !== undefined) return this.worker;
    const worker = new Worker(new URL('./blocking-worker.js', import.meta.url), {
      // The worker closes descriptors that libc opened, which Node does not know.
      trackUnmanagedFds: false,
    });
    worker.on('message', (result: BlockingResult) => this.settle(result));
    worker.on('error', (error) => this.fail(error));
    this.worker = worker;
    return worker;
  }

  private settle({ id, value = 0, failure }: BlockingResult): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.worker?.unref();
    if (failure === undefined) waiting?.resolve(value);
    else waiting?.reject(FsError.fromPlain(failure));
  }

  /** The worker has failed, and all pending calls with it. The next call starts a new worker. */
  private fail(error: Error): void {
    this.worker = undefined;
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of waiting) reject(error);
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
    this.worker = undefined;
  }
}
