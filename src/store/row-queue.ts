/** Queues rows and writes them to the tables, in transactions short enough not to hold up other writers. */
import type { MetaTables } from '../meta/index.ts';

/** How many rows, and how many bytes of large rows, are gathered before they are written. */
const ROWS_MAX = 2048;
const BYTES_MAX = 4 * 1024 * 1024;

export class RowQueue {
  private readonly tables: MetaTables;
  private queue: (() => void)[] = [];
  private bytes = 0;

  constructor(tables: MetaTables) {
    this.tables = tables;
  }

  /**
   * Queues a row. `put` writes it inside a transaction: once, or again if that transaction failed. `bytes` is the size
   * of a large row.
   */
  add(put: () => void, bytes = 0): void {
    this.queue.push(put);
    this.bytes += bytes;
    if (this.queue.length >= ROWS_MAX || this.bytes >= BYTES_MAX) this.flush();
  }

  /** Writes all queued rows. When that fails, rows that are not written stay queued. */
  flush(): void {
    while (this.queue.length > 0) {
      let written = 0;
      this.tables.slice((isSpent) => {
        do this.queue[written++]!();
        while (written < this.queue.length && !isSpent());
      });
      this.queue = this.queue.slice(written);
    }
    this.bytes = 0;
  }

  discard(): void {
    this.queue = [];
    this.bytes = 0;
  }
}
