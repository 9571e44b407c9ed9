/** Rows on their way to the tables, written in transactions that are short enough not to hold up other writers. */
import type { MetaTables } from '../meta/index.ts';

/** A write transaction keeps all other writers of the store waiting; none of ours lasts much longer than this. */
const TRANSACTION_MS = 15;
/** Rows gathered before they are written; about 10 ms of work. */
const QUEUED_ROWS_MAX = 2048;
/** How many rows are written between two looks at the clock. */
const CLOCK_ROWS = 64;

export class RowQueue {
  private readonly tables: MetaTables;
  private readonly onWritten: () => void;
  private queue: (() => void)[] = [];

  /** `onWritten` is called whenever everything queued has become durable. */
  constructor(tables: MetaTables, onWritten: () => void) {
    this.tables = tables;
    this.onWritten = onWritten;
  }

  add(put: () => void): void {
    this.queue.push(put);
    if (this.queue.length >= QUEUED_ROWS_MAX) this.flush();
  }

  /** Writes everything that is queued. When it fails, what was not written stays queued. */
  flush(): void {
    const { queue } = this;
    let written = 0;
    try {
      while (written < queue.length) written = this.writeSlice(queue, written);
    } finally {
      this.queue = queue.slice(written);
    }
    this.onWritten();
  }

  /** One transaction; returns the position behind the last row it wrote. */
  private writeSlice(queue: readonly (() => void)[], from: number): number {
    return this.tables.transaction(() => {
      const deadline = performance.now() + TRANSACTION_MS;
      let position = from;
      while (position < queue.length) {
        queue[position]!();
        position++;
        if (position % CLOCK_ROWS === 0 && performance.now() > deadline) break;
      }
      return position;
    });
  }

  /** Forgets what is queued. */
  discard(): void {
    this.queue = [];
  }
}
