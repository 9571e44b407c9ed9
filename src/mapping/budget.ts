/**
 * The process-wide budget of memory mappings. A process may have `vm.max_map_count` (65,530) mappings, and Node aborts
 * when they run out. Memory maps of files get half, and every re-map checks that limit first; Node and mapped windows
 * of blobs use the rest.
 */
import { assert } from '../base/index.ts';

export class MapBudget {
  readonly limit: number;
  /** How many blocks were copied only to keep memory maps within their share. */
  gatheredBlocks = 0;
  /** How many mappings the views of this process have. */
  usedCount = 0;

  constructor(limit: number) {
    assert(limit > 0, 'the budget of mappings is positive');
    this.limit = limit;
  }

  /** How many mappings a view that now has `pieces` may have: half of those that would be free without the view. */
  shareOf(pieces: number): number {
    return Math.floor((this.limit - this.usedCount + pieces) / 2);
  }

  fits(extraPieces: number): boolean {
    return this.usedCount + extraPieces <= this.limit;
  }

  /** Notes that a view went from `before` to `after` mappings. */
  replace(before: number, after: number): void {
    this.usedCount += after - before;
    assert(this.usedCount >= 0, 'the budget of mappings is not negative');
  }
}

let shared: MapBudget | undefined;

/** The one budget of this process. Only the first call asks `mapCountMax`. */
export function processMapBudget(mapCountMax: () => number): MapBudget {
  shared ??= new MapBudget(Math.floor(mapCountMax() / 2));
  return shared;
}
