/**
 * Gives memory back to the system after mounts were trimmed. V8 keeps the pages of garbage until it needs them: a
 * thousand forks of 550 files left 550 MiB. The first collection frees unreachable objects, but moves little and gives
 * few pages back. The next one finds most pages nearly empty, compacts them, and gives the rest back. So this repeats
 * collections while the heap shrinks. The C library keeps freed memory too, until malloc_trim(3).
 */
import { getHeapStatistics } from 'node:v8';
import { yieldToEventLoop } from '../base/index.ts';
import type { Kernel } from '../sys/index.ts';

/**
 * Mounts that are trimmed within this time share one return. The wait also helps V8: it shrinks its space for new
 * objects, up to 32 MiB, only if few objects were made in the last seconds.
 */
const DELAY_MS = 10_000;
/** One collection takes 20 to 60 ms with a thousand idle forks. The server answers requests between collections. */
const COLLECTIONS_MAX = 5;
const SHRUNK = 0.95;

export class MemoryReturn {
  private readonly kernel: Kernel;
  private timer: NodeJS.Timeout | undefined;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  /** Schedules a return of memory, unless one is scheduled already. */
  later(): void {
    this.timer ??= setTimeout(() => void this.now(), DELAY_MS).unref();
  }

  /** Returns memory now. Collects garbage only if the process was started with `--expose-gc`. */
  async now(): Promise<void> {
    this.cancel();
    for (let count = 1; count <= COLLECTIONS_MAX; count++) {
      const before = getHeapStatistics().total_heap_size;
      globalThis.gc?.();
      const isSmaller = getHeapStatistics().total_heap_size < before * SHRUNK;
      if (count > 1 && !isSmaller) break;
      await yieldToEventLoop();
    }
    this.kernel.trimMemory();
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
