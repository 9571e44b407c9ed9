/**
 * The process-wide budget of memory mappings. A process may have `vm.max_map_count` (65,530) of them, and Node aborts
 * when they run out; half is counted here before every re-map, the rest is left to Node and to windows.
 */
import { assert } from '../base/index.ts';

export class MapBudget {
  readonly limit: number;
  /** Blocks of this process that were copied only to keep memory maps within their share. */
  gatheredBlocks = 0;
  private used = 0;

  constructor(limit: number) {
    assert(limit > 0, 'the budget of mappings is positive');
    this.limit = limit;
  }

  get usedCount(): number {
    return this.used;
  }

  /** The share of one view that now has `pieces`: half of what would be left without it. */
  shareOf(pieces: number): number {
    return Math.floor((this.limit - this.used + pieces) / 2);
  }

  fits(extraPieces: number): boolean {
    return this.used + extraPieces <= this.limit;
  }

  /** A view went from `before` to `after` mappings. */
  replace(before: number, after: number): void {
    this.used += after - before;
    assert(this.used >= 0, 'the budget of mappings is not negative');
  }
}

let shared: MapBudget | undefined;

/** The one budget of this process; `mapCountMax` is asked for once. */
export function processMapBudget(mapCountMax: () => number): MapBudget {
  shared ??= new MapBudget(Math.floor(mapCountMax() / 2));
  return shared;
}
