/**
 * Rows on their way to the tables, written in transactions that are short enough not to hold up other writers.
 */
import type { MetaTables } from '../meta/index.ts';

/** Rows that are gathered before they are written. */
const ROWS_MAX = 2048;

export class RowQueue {
  private readonly tables: MetaTables;
  private queue: (() => void)[] = [];

  constructor(tables: MetaTables) {
    this.tables = tables;
  }

  /** Queues a row; `put` writes it and runs inside a transaction, once or, when that one failed, again. */
  add(put: () => void): void {
    this.queue.push(put);
    if (this.queue.length >= ROWS_MAX) this.flush();
  }

  /** Writes everything that is queued. When it fails, what is not written stays queued. */
  flush(): void {
    while (this.queue.length > 0) {
      let written = 0;
      this.tables.slice((isSpent) => {
        do this.queue[written++]!();
        while (written < this.queue.length && !isSpent());
      });
      this.queue = this.queue.slice(written);
    }
  }

  /** Forgets what is queued. */
  discard(): void {
    this.queue = [];
  }
}
