/** What the sequential benchmark asks of each contender's process, and gets. */
import type { LibraryContender } from './library-cases.ts';
import type { Cell, Sampled } from './table.ts';

export interface SequentialArgument {
  readonly contender: LibraryContender;
  readonly root: string;
  readonly sizeBytes: number;
  /** The directory on the host whose files hold the data: dropped from memory before it is read cold. */
  readonly behind?: string;
}

export interface SequentialResult {
  readonly writeMs: Sampled;
  readonly syncMs: Cell;
  readonly warmMs: Sampled;
  readonly coldMs: Cell;
}
