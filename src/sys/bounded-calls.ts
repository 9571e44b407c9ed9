/**
 * Calls that a separate thread makes. The caller waits for each call up to a time limit. A call that gets no answer in
 * time leaves that thread stuck; until the answer comes, every further call fails at once.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { FsError, type PlainFsError } from '../base/index.ts';

/** Sent to the thread. */
export interface BoundedCall {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** Sent back by the thread: the value, the error of the call, or the exception that a defect caused. */
export interface BoundedAnswer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: PlainFsError;
  readonly defect?: unknown;
}

/** The data that a thread starts with. */
export interface BoundedThread {
  readonly port: MessagePort;
  /** Number of the last call that was answered. */
  readonly answered: Int32Array;
  /** The thread's id in /proc, which it sets when it starts. */
  readonly thread: Int32Array;
  /** The id of the thread that opens the files for this thread to read. */
  readonly opener: Int32Array | undefined;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class BoundedCalls {
  private readonly limitMs: number;
  /** Receives the answers that nobody waits for: those that came too late, and those to `send`. */
  private readonly onLate: (method: string, value: unknown) => void;
  // Shared with the thread: see `BoundedThread`.
  private readonly answered = new Int32Array(new SharedArrayBuffer(4));
  private readonly thread = new Int32Array(new SharedArrayBuffer(4));
  private readonly opener: BoundedCalls | undefined;
  /** Methods of the calls that have no answer yet, by the number of the call. */
  private readonly methods = new Map<number, string>();
  private readonly waiting = new Map<number, Waiting>();
  private port: MessagePort | undefined;
  private lastId = 0;
  /** Number of the last call that got no answer in time. */
  private givenUpId = 0;

  /** The thread of `opener` opens the files that the thread of this object reads. */
  constructor(limitMs: number, onLate: (method: string, value: unknown) => void, opener?: BoundedCalls) {
    this.limitMs = limitMs;
    this.onLate = onLate;
    this.opener = opener;
  }

  /** True while the thread is in a call that got no answer in time. */
  get isStuck(): boolean {
    return Atomics.load(this.answered, 0) < this.givenUpId;
  }

  /** Makes a call and blocks the caller until its value arrives. Errors: ETIMEDOUT, and those of the call itself. */
  call(method: string, args: readonly unknown[]): unknown {
    this.requireMoving(method);
    const id = this.send(method, args);
    const end = performance.now() + this.limitMs;
    for (;;) {
      const answered = Atomics.load(this.answered, 0);
      if (answered >= id) break;
      const restMs = end - performance.now();
      if (restMs <= 0 || Atomics.wait(this.answered, 0, answered, restMs) === 'timed-out') {
        throw this.giveUp(id, method);
      }
    }
    let value: unknown;
    const take = { resolve: (taken: unknown) => (value = taken), reject: rethrow };
    this.waiting.set(id, take);
    while (this.waiting.has(id)) this.settle(receiveMessageOnPort(this.channel())?.message as BoundedAnswer);
    return value;
  }

  /** Like `call`, but does not block the caller. Use only one of these two methods on an object. */
  callAsync(method: string, args: readonly unknown[]): Promise<unknown> {
    this.requireMoving(method);
    const port = this.channel();
    if (port.listenerCount('message') === 0)
      port.on('message', (answer: BoundedAnswer) => this.settle(answer));
    port.unref();
    const id = this.send(method, args);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(this.giveUp(id, method));
      }, this.limitMs);
      const done =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      this.waiting.set(id, { resolve: done(resolve), reject: done(reject) });
    });
  }

  /** Starts a call and does not wait for it. Returns its number. */
  send(method: string, args: readonly unknown[]): number {
    const id = ++this.lastId;
    this.methods.set(id, method);
    this.channel().postMessage({ id, method, args } satisfies BoundedCall);
    return id;
  }

  private channel(): MessagePort {
    if (this.port !== undefined) return this.port;
    const { port1, port2 } = new MessageChannel();
    const { answered, thread } = this;
    const workerData: BoundedThread = { port: port2, answered, thread, opener: this.opener?.thread };
    new Worker(new URL('./bounded-worker.js', import.meta.url), {
      workerData,
      transferList: [port2],
      // The thread opens descriptors that other threads ask it to close.
      trackUnmanagedFds: false,
    }).unref();
    this.port = port1;
    return port1;
  }

  private settle({ id, value, error, defect }: BoundedAnswer): void {
    const method = this.methods.get(id) ?? '';
    const waiting = this.waiting.get(id);
    this.methods.delete(id);
    this.waiting.delete(id);
    if (waiting === undefined) this.onLate(method, value);
    else if (defect !== undefined) waiting.reject(defect);
    else if (error !== undefined) waiting.reject(FsError.fromPlain(error));
    else waiting.resolve(value);
  }

  private requireMoving(method: string): void {
    if (this.isStuck) throw this.timedOut(method);
  }

  private giveUp(id: number, method: string): FsError {
    this.givenUpId = id;
    return this.timedOut(method);
  }

  private timedOut(method: string): FsError {
    const note = `the filesystem of the host directory has not answered for ${this.limitMs / 1000} s`;
    return new FsError('ETIMEDOUT', { syscall: method, note });
  }
}

function rethrow(error: unknown): never {
  throw error;
}
