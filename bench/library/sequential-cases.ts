/** Requests of the sequential benchmark to each contender's process, and the answers. */

import type { Cell, Sampled } from '../measure/table.ts';
import type { LibraryContender } from './cases.ts';

export interface SequentialArgument {
  readonly contender: LibraryContender;
  readonly root: string;
  readonly sizeBytes: number;
  /** The directory on the host whose files hold the data: they are dropped from memory before the cold read. */
  readonly behind?: string;
}

export interface SequentialResult {
  readonly writeMs: Sampled;
  readonly syncMs: Cell;
  readonly warmMs: Sampled;
  readonly coldMs: Cell;
}
