/** Facts about the running machine, from /proc where there is one. */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Clock } from '../base/index.ts';
import { timespecFromMs } from '../base/index.ts';
import type { Libc } from './libc.ts';
import { mountsOf } from './mount-info.ts';
import type { MachineCalls } from './parts.ts';
import { int64 } from './words.ts';

const CLOCK_REALTIME = 0;
/** DEFAULT_MAX_MAP_COUNT of the kernel. */
const MAP_COUNT_DEFAULT = 65_530;

/** The text of a small file of the kernel's, or undefined where it cannot be read. */
function readKernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return undefined;
  }
}

function readBootId(): string {
  const id = readKernelFile('/proc/sys/kernel/random/boot_id');
  if (id !== undefined && id !== '') return id;
  // The minute of the boot. At the turn of a minute two processes may see two values: then one of them takes a crash of
  // a process for a power cut, which is the careful side.
  return `boot-minute-${Math.round((Date.now() / 1000 - uptime()) / 60)}`;
}

/** Wall-clock time to the nanosecond. */
class NativeClock implements Clock {
  private readonly libc: Libc;
  /** struct timespec: 64 bits of seconds, 64 of nanoseconds. */
  private readonly words = new Uint32Array(4);

  constructor(libc: Libc) {
    this.libc = libc;
  }

  now(): { seconds: number; nanoseconds: number } {
    // CLOCK_REALTIME always exists and the buffer is ours: this call has no way to fail.
    this.libc.clock_gettime(CLOCK_REALTIME, this.words);
    return { seconds: int64(this.words, 0), nanoseconds: this.words[2]! };
  }

  elapsedMs(): number {
    return performance.now();
  }
}

/** Wall-clock time to the microsecond, where JavaScript's two clocks agree. */
const plainClock: Clock = { now: plainNow, elapsedMs: () => performance.now() };

/**
 * Date tells the milliseconds, and follows when the clock is set; performance tells what lies between two of them.
 */
function plainNow(): { seconds: number; nanoseconds: number } {
  const precise = performance.timeOrigin + performance.now();
  const coarse = Date.now();
  return timespecFromMs(Math.abs(precise - coarse) < 2 ? precise : coarse);
}

export function machineCalls(libc?: Libc): MachineCalls {
  let bootId: string | undefined;
  return {
    bootId() {
      bootId ??= readBootId();
      return bootId;
    },
    mapCountMax() {
      const text = readKernelFile('/proc/sys/vm/max_map_count');
      const count = text === undefined ? Number.NaN : Number.parseInt(text, 10);
      return Number.isNaN(count) ? MAP_COUNT_DEFAULT : count;
    },
    mounts: () => mountsOf(),
    clock: libc === undefined ? plainClock : new NativeClock(libc),
  };
}
