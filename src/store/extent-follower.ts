/** What this process has open follows dedupe, of this process or another: told by a counter of the tables. */
import { followExtents } from '../layer/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { Tree } from './tree.ts';

export class ExtentFollower {
  private readonly tables: MetaTables;
  /** The counter when all that was open had followed. */
  private remaps: number;

  constructor(tables: MetaTables) {
    this.tables = tables;
    this.remaps = tables.counters.get('remaps');
  }

  /**
   * False when some file has to go on with old blocks; then it is tried again the next time. `followChains` puts the
   * trees on the layers that the tables have under them now: of those that flattening replaced no row changes any more.
   */
  follow(trees: readonly Tree[], followChains: () => void): boolean {
    this.tables.renew();
    // Read before the chains and the rows are: what changes meanwhile is followed the next time.
    const remaps = this.tables.counters.get('remaps');
    if (remaps !== this.remaps) {
      followChains();
      let isDone = true;
      for (const { stack } of trees) if (!followExtents(stack)) isDone = false;
      if (!isDone) return false;
      this.remaps = remaps;
    }
    return true;
  }
}
