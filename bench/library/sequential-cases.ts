/** What the sequential benchmark asks of each contender's process, and gets. */

import type { Cell, Sampled } from '../measure/table.ts';
import type { LibraryContender } from './cases.ts';

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
