/**
 * The loop that serves: it waits for any of many devices and, in the same wait, for the process's own events. libuv has
 * no way to watch a device like /dev/fuse, but it waits with an epoll instance of its own, and those can be nested:
 * ours has libuv's in it (epoll(7)). So sockets, signals and the results of the thread pool wake this loop too, and
 * then get their turn.
 *
 * libuv tells its instance of a new socket only when it is about to wait, so after each turn of its events it gets
 * further turns without a wait before this loop waits again. Its timers are nobody's event: a wait is short while the
 * program has work in hand, and never longer than `WAIT_MS_MAX`.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { turn } from '../../base/index.ts';
import type { Kernel } from '../../sys/index.ts';

/** Longest wait, which is how late a timer of the process may be. */
export const WAIT_MS_MAX = 100;
/** Devices are served for so long before the process's own events get a turn. */
const TURN_MS = 5;
/** Turns without a wait after the process had events. */
const QUIET_TURNS = 2;
const LOOP_TAG = 0;
const TAGS_AT_ONCE = 64;

export interface Served {
  /** Answers what there is to answer. */
  serve(): void;
}

export class ServingLoop {
  private readonly kernel: Kernel;
  private readonly waitMs: () => number;
  private readonly epoll: number;
  private readonly served: (Served | undefined)[] = [undefined];
  private readonly tags = new Uint32Array(TAGS_AT_ONCE);
  private count = 0;
  private isRunning = false;
  private quietTurns = 0;
  /** Without libuv's instance the loop only ever looks, and lets libuv do the waiting for a millisecond at a time. */
  private isNested = false;

  /** `waitMs` is asked with every turn for how long it may wait: 0 while the process has work between its events. */
  constructor(kernel: Kernel, waitMs: () => number = () => WAIT_MS_MAX) {
    this.kernel = kernel;
    this.waitMs = waitMs;
    this.epoll = kernel.createEpoll();
  }

  /** Finds libuv's epoll instance. Must be awaited before the first device is added. */
  async prepare(): Promise<void> {
    const instance = await findLoopEpoll();
    if (instance === undefined) return;
    this.kernel.watch(this.epoll, instance, LOOP_TAG);
    this.isNested = true;
  }

  add(fd: number, served: Served): void {
    let tag = this.served.indexOf(undefined, 1);
    if (tag < 0) tag = this.served.length;
    this.kernel.watch(this.epoll, fd, tag);
    this.served[tag] = served;
    this.count++;
    if (this.isRunning) return;
    this.isRunning = true;
    setImmediate(this.run);
  }

  remove(fd: number, served: Served): void {
    const tag = this.served.indexOf(served);
    if (tag < 0) return;
    this.served[tag] = undefined;
    this.count--;
    this.kernel.unwatch(this.epoll, fd);
  }

  private readonly run = (): void => {
    let wait = Math.min(this.waitMs(), this.waitMsMax());
    const until = performance.now() + TURN_MS;
    for (;;) {
      const ready = this.kernel.epollWait(this.epoll, this.tags, wait);
      let hasEvents = ready === 0;
      for (let index = 0; index < ready; index++) {
        const tag = this.tags[index]!;
        if (tag === LOOP_TAG) {
          hasEvents = true;
          this.quietTurns = QUIET_TURNS;
        } else this.served[tag]?.serve();
      }
      if (hasEvents || this.count === 0 || performance.now() > until) break;
      wait = 0;
    }
    if (this.count === 0) {
      this.isRunning = false;
      return;
    }
    if (this.isNested) setImmediate(this.run);
    else setTimeout(this.run, 1);
  };

  private waitMsMax(): number {
    if (!this.isNested) return 0;
    if (this.quietTurns === 0) return WAIT_MS_MAX;
    this.quietTurns--;
    return 0;
  }
}

/**
 * The descriptor of the epoll instance that libuv waits with in this thread: the one that watches a socket which was
 * just opened for the purpose. Undefined where /proc does not tell.
 */
async function findLoopEpoll(): Promise<number | undefined> {
  const server = createServer();
  try {
    const fd = await listening(server);
    if (fd === undefined) return undefined;
    for (const name of readdirSync('/proc/self/fd')) if (watches(name, fd)) return Number(name);
    return undefined;
  } catch {
    return undefined;
  } finally {
    server.close();
  }
}

let serversMade = 0;

/** The descriptor of a server that libuv has begun to watch. */
async function listening(server: Server): Promise<number | undefined> {
  const name = `${tmpdir()}/ramet-loop-${process.pid}-${serversMade++}`;
  // An abstract socket (unix(7)) would leave no file, but not every version of Node.js can make one.
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(name, resolve));
  await turn();
  await turn();
  const { _handle: handle } = server as unknown as { _handle?: { fd?: number } };
  return handle?.fd;
}

function watches(name: string, fd: number): boolean {
  try {
    if (!readlinkSync(`/proc/self/fd/${name}`).includes('[eventpoll]')) return false;
    return new RegExp(`^tfd:\\s+${fd}\\s`, 'm').test(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'));
  } catch {
    return false;
  }
}
