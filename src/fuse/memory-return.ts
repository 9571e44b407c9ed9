/**
 * Gives memory back after mounts were trimmed. What they held is garbage then, and V8 keeps its pages until it needs
 * them: a thousand forks of 550 files left 550 MiB. One collection frees what is unreachable, but gives few pages back
 * and moves little; the next, with most pages nearly empty, compacts what is left and gives back the rest. So it is
 * repeated while the heap shrinks. The C library keeps freed memory too, until malloc_trim(3).
 */
import { getHeapStatistics } from 'node:v8';
import { yieldToEventLoop } from '../base/index.ts';
import type { Kernel } from '../sys/index.ts';

/**
 * Mounts that are trimmed within this time share one return. V8 shrinks the part of the heap for new objects, 32 MiB
 * once it was busy, only when few were made in the last seconds.
 */
const DELAY_MS = 10_000;
/** Each takes some 20 to 60 ms with a thousand idle forks, and requests are answered between them. */
const COLLECTIONS_MAX = 5;
const SHRUNK = 0.95;

export class MemoryReturn {
  private readonly kernel: Pick<Kernel, 'trimMemory'>;
  private timer: NodeJS.Timeout | undefined;

  constructor(kernel: Pick<Kernel, 'trimMemory'>) {
    this.kernel = kernel;
  }

  /** In a while, once for all calls until then. */
  later(): void {
    this.timer ??= setTimeout(() => void this.now(), DELAY_MS).unref();
  }

  async now(): Promise<void> {
    this.cancel();
    await this.collect();
    this.kernel.trimMemory();
  }

  /** Does nothing in a process that was not started with `--expose-gc`. */
  private async collect(): Promise<void> {
    for (let count = 1; count <= COLLECTIONS_MAX; count++) {
      const before = getHeapStatistics().total_heap_size;
      globalThis.gc?.();
      const isSmaller = getHeapStatistics().total_heap_size < before * SHRUNK;
      if (count > 1 && !isSmaller) return;
      await yieldToEventLoop();
    }
  }

  cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
