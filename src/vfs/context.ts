/** State that all operations on one open tree share. */
import type { Timespec } from '../base/index.ts';
import type { DraftRecord, LayerStack } from '../layer/index.ts';

export class TreeContext {
  readonly stack: LayerStack;
  readonly dev: number;
  /** True if reading a file updates its access time. */
  keepsAccessTimes = true;

  constructor(stack: LayerStack, dev: number) {
    this.stack = stack;
    this.dev = dev;
  }

  now(): Timespec {
    return this.stack.system.clock.now();
  }
}

export function touchModified(draft: DraftRecord, now: Timespec): void {
  draft.mtimeSeconds = now.seconds;
  draft.mtimeNanoseconds = now.nanoseconds;
  touchChanged(draft, now);
}

export function touchChanged(draft: DraftRecord, now: Timespec): void {
  draft.ctimeSeconds = now.seconds;
  draft.ctimeNanoseconds = now.nanoseconds;
}
