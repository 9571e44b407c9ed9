/** Facts about the running machine, from /proc where there is one. */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { type Clock, type Timespec, timespecFromMs } from '../base/index.ts';
import type { Libc } from './libc.ts';
import { mountsOf } from './mount-info.ts';
import type { System } from './system.ts';
import { int64 } from './words.ts';

const CLOCK_REALTIME = 0;
/** DEFAULT_MAX_MAP_COUNT of the kernel. */
const MAP_COUNT_DEFAULT = 65_530;

/** The text of a small file in /proc; undefined if the file cannot be read. */
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
  // Without a boot id, the minute of the boot identifies it. Two processes may compute different minutes, since the
  // computed time varies a little. Then one of them treats the crash of a process as a power cut, which is safe.
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

  now(): Timespec {
    // Cannot fail: CLOCK_REALTIME always exists, and the buffer is valid.
    this.libc.clock_gettime(CLOCK_REALTIME, this.words);
    return { seconds: int64(this.words, 0), nanoseconds: this.words[2]! };
  }

  elapsedMs(): number {
    return performance.now();
  }
}

/**
 * Wall-clock time without libc: from `performance`, to the microsecond; but if the system's clock was set after this
 * process started, from Date, to the millisecond.
 */
const plainClock: Clock = {
  now() {
    const precise = performance.timeOrigin + performance.now();
    const coarse = Date.now();
    return timespecFromMs(Math.abs(precise - coarse) < 2 ? precise : coarse);
  },
  elapsedMs: () => performance.now(),
};

export function machineCalls(libc?: Libc) {
  let bootId: string | undefined;
  return {
    bootId() {
      bootId ??= readBootId();
      return bootId;
    },
    mapCountMax() {
      const count = Number.parseInt(readKernelFile('/proc/sys/vm/max_map_count') ?? '', 10);
      return Number.isNaN(count) ? MAP_COUNT_DEFAULT : count;
    },
    mounts: () => mountsOf(),
    clock: libc === undefined ? plainClock : new NativeClock(libc),
  } satisfies Partial<System>;
}
