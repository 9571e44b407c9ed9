/** Clocks. Code gets its clock injected, so that a run can be replayed from its seed. */

/** A moment since the epoch: whole seconds (may be negative) and nanoseconds in [0, 1e9). */
export interface Timespec {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface Clock {
  /** Wall-clock time. */
  now(): Timespec;
  /** Milliseconds since an arbitrary moment, never decreasing: for measuring how long something takes. */
  elapsedMs(): number;
}

/** A clock that moves only when it is read, by one microsecond, and when `advance` is called. */
export class ManualClock implements Clock {
  private microseconds: number;

  constructor(startSeconds = 1_700_000_000) {
    this.microseconds = startSeconds * 1e6;
  }

  now(): Timespec {
    this.microseconds += 1;
    const seconds = Math.floor(this.microseconds / 1e6);
    return { seconds, nanoseconds: (this.microseconds - seconds * 1e6) * 1000 };
  }

  elapsedMs(): number {
    this.microseconds += 1;
    return this.microseconds / 1000;
  }

  advance(seconds: number): void {
    this.microseconds += seconds * 1e6;
  }
}

/** Two undefined times are the same: both are unknown. */
export function isSameTimespec(a: Timespec | undefined, b: Timespec | undefined): boolean {
  return a?.seconds === b?.seconds && a?.nanoseconds === b?.nanoseconds;
}

export function timespecFromMs(ms: number): Timespec {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: Math.floor((ms - seconds * 1000) * 1e6) };
}
