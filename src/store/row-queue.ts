/**
 * Rows on their way to the tables, written in transactions that are short enough not to hold up other
 * writers.
 */
import type { MetaTables } from '../meta/index.ts';

/** A write transaction keeps all other writers of the store waiting: so many rows take some 5 to 10 ms. */
const ROWS_PER_TRANSACTION = 2048;

export class RowQueue {
  private readonly tables: MetaTables;
  private readonly onWritten: () => void;
  private queue: (() => void)[] = [];

  /** `onWritten` is called whenever everything queued has become durable. */
  constructor(tables: MetaTables, onWritten: () => void) {
    this.tables = tables;
    this.onWritten = onWritten;
  }

  /** Queues a row; `put` writes it and runs inside a transaction, once or, when that one failed, again. */
  add(put: () => void): void {
    this.queue.push(put);
    if (this.queue.length >= ROWS_PER_TRANSACTION) this.flush();
  }

  /** Writes everything that is queued. When it fails everything stays queued. */
  flush(): void {
    const { queue } = this;
    if (queue.length > 0) {
      this.tables.transaction(() => {
        for (const put of queue) put();
      });
    }
    this.queue = [];
    this.onWritten();
  }

  /** Forgets what is queued. */
  discard(): void {
    this.queue = [];
  }
}
