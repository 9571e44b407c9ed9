/**
 * The serving loop. It waits for all FUSE devices and, in the same wait, for the process's own events. libuv has no way
 * to watch a device like /dev/fuse, but libuv waits with an epoll instance, and epoll instances can be nested
 * (epoll(7)): ours watches libuv's. So sockets, signals and the results of the thread pool wake this loop too, and then
 * get their turn.
 *
 * A program that sends one request after another sends the next before a thread could fall asleep and be woken. So the
 * loop polls a moment longer before it sleeps, and yields the CPU meanwhile.
 *
 * libuv adds a new socket to its instance only when libuv is about to wait. So after each turn of libuv's events the
 * serving loop gives libuv further turns before the loop waits again. Timers of libuv wake no epoll instance, so the
 * loop does not wait while the process has work to do, and never waits longer than `WAIT_MS_MAX`.
 */
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { yieldToEventLoop } from '../base/index.ts';
import type { Kernel } from '../sys/index.ts';

/** Longest wait, and so the longest time by which a timer of the process may be late. */
export const WAIT_MS_MAX = 100;
/** How long devices are served before the process's own events get a turn. */
const TURN_MS = 5;
/** Number of turns without a wait after the process had events. */
const QUIET_TURNS = 2;
/** How long to poll after an answer before the thread sleeps, about as long as it takes to wake the thread. */
const LOOK_MS = 0.01;
/** The loop polls only if the last request came this soon after an answer. */
const PROMPT_MS = 0.02;
const LOOP_TAG = 0;
const TAGS_AT_ONCE = 64;

export interface Served {
  /** Answers the waiting requests. */
  serve(): void;
  /** Called when no request waits: prepares part of a likely next answer. Returns true if that took any time. */
  rest?(): boolean;
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
  private isTurnDue = false;
  /** `performance.now()` after the last answers. */
  private servedAt = 0;
  /** True when the last request came soon after an answer. */
  private isPrompt = false;
  /** True if `epoll` watches libuv's instance. Otherwise the loop only polls, and libuv waits 1 ms at a time. */
  private isNested = false;

  /** `waitMs` is called at every turn and returns the longest wait: 0 while the process has work between its events. */
  constructor(kernel: Kernel, waitMs: () => number = () => WAIT_MS_MAX) {
    this.kernel = kernel;
    this.waitMs = waitMs;
    this.epoll = kernel.createEpoll();
  }

  /** Finds libuv's epoll instance. Must be awaited before the first device is added. */
  async prepare(): Promise<void> {
    const instance = await findLoopEpoll(this.kernel);
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

  /** Call after starting something that the process's own events continue: they get a turn before the next wait. */
  giveTurn(): void {
    this.isTurnDue = true;
  }

  private readonly run = (): void => {
    const waitMax = Math.min(this.waitMs(), this.waitMsMax());
    this.isTurnDue = false;
    let ready = this.kernel.epollWait(this.epoll, this.tags, waitMax);
    const end = performance.now() + TURN_MS;
    while (ready > 0) {
      this.isPrompt = performance.now() - this.servedAt < PROMPT_MS;
      let last: Served | undefined;
      for (let index = 0; index < ready; index++) {
        const tag = this.tags[index]!;
        if (tag === LOOP_TAG) {
          this.isTurnDue = true;
          this.quietTurns = QUIET_TURNS;
        } else {
          last = this.served[tag];
          last?.serve();
        }
      }
      this.servedAt = performance.now();
      if (this.isTurnDue || this.count === 0 || this.servedAt > end) break;
      ready = this.next(last, Math.min(waitMax, Math.ceil(end - this.servedAt)));
    }
    if (this.count === 0) {
      this.isRunning = false;
      return;
    }
    if (this.isNested) setImmediate(this.run);
    else setTimeout(this.run, 1);
  };

  /**
   * Waits for the next requests, and returns the number of ready descriptors. Polls, lets the device that was served
   * last prepare something, polls for a moment more, and only then sleeps.
   */
  private next(last: Served | undefined, waitMax: number): number {
    const { kernel, epoll, tags } = this;
    let ready: number;
    do {
      ready = kernel.epollWait(epoll, tags, 0);
      if (ready > 0) return ready;
    } while (last?.rest?.() === true);
    if (this.isPrompt) {
      const until = this.servedAt + LOOK_MS;
      do {
        kernel.yieldCpu();
        ready = kernel.epollWait(epoll, tags, 0);
        if (ready > 0) return ready;
      } while (performance.now() < until);
    }
    return kernel.epollWait(epoll, tags, waitMax);
  }

  private waitMsMax(): number {
    if (!this.isNested) return 0;
    if (this.quietTurns === 0) return WAIT_MS_MAX;
    this.quietTurns--;
    return 0;
  }
}

/**
 * Finds the descriptor of the epoll instance that libuv waits with in this thread: the one that watches a new socket.
 * The socket is one without a path, because a path could lie on a mount that does not answer. Undefined if /proc does
 * not show the instance.
 */
async function findLoopEpoll(kernel: Kernel): Promise<number | undefined> {
  const [fd, other] = kernel.socketPair();
  const socket = new Socket({ fd }).resume();
  try {
    // libuv adds a socket to its instance before it waits.
    await yieldToEventLoop();
    await yieldToEventLoop();
    for (const name of readdirSync('/proc/self/fd')) if (watches(name, fd)) return Number(name);
    return undefined;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
    closeSync(other);
  }
}

function watches(name: string, fd: number): boolean {
  try {
    if (!readlinkSync(`/proc/self/fd/${name}`).includes('[eventpoll]')) return false;
    return new RegExp(`^tfd:\\s+${fd}\\s`, 'm').test(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'));
  } catch {
    return false;
  }
}
