/**
 * Moves of blocks, and the maps that files have after the moves. A move concerns physical blocks: every file that
 * refers to the old place gets the new place, which has the same bytes.
 */
import type { BlobId, BlockIndex, Run } from '../base/index.ts';
import { appendRun } from '../extent/index.ts';

/**
 * Moves give a file at most this many runs, or as many as it has already. A map of very many pieces would cost a
 * process that maps the file more memory than sharing saves. To stay within the limit, `rewrite` leaves out the
 * shortest moves first.
 */
const RUNS_MAX = 4096;
/** If leaving out all moves of fewer blocks than this does not suffice, the file keeps its map. */
const SHORTEST_MAX = 4 ** 6;

/** Blocks of one blob, from `start` on, become the blocks of `blob` from `physical` on. */
interface Move {
  readonly start: number;
  readonly count: number;
  readonly blob: BlobId;
  readonly physical: number;
}

export class BlockMoves {
  private readonly bySource = new Map<BlobId, Move[]>();
  count = 0;

  clear(): void {
    this.bySource.clear();
    this.count = 0;
  }

  /** Adds a move. Add the blocks of one source in ascending order. */
  add(source: BlobId, start: number, count: number, blob: BlobId, physical: number): void {
    let moves = this.bySource.get(source);
    if (moves === undefined) {
      moves = [];
      this.bySource.set(source, moves);
    }
    const last = moves[moves.length - 1];
    const isNext =
      last !== undefined &&
      last.blob === blob &&
      last.start + last.count === start &&
      last.physical + last.count === physical;
    if (isNext) moves[moves.length - 1] = { ...last, count: last.count + count };
    else {
      moves.push({ start, count, blob, physical });
      this.count++;
    }
  }

  /** Whether the moves change any of these runs. */
  touches(runs: readonly Run[]): boolean {
    return runs.some(({ blob, physical, count }) => {
      const moves = this.bySource.get(blob);
      const next = moves?.[indexAfter(moves, physical)];
      return next !== undefined && next.start < physical + count;
    });
  }

  /**
   * The map of a file after the moves, with adjacent runs joined where one continues the other; undefined if nothing
   * changes, or if the map would have too many runs.
   */
  rewrite(runs: readonly Run[]): readonly Run[] | undefined {
    const runsMax = Math.max(RUNS_MAX, runs.length);
    for (let shortest = 1; shortest <= SHORTEST_MAX; shortest *= 4) {
      const rewritten: Run[] = [];
      let hasMoved = false;
      for (const run of runs) if (this.rewriteRun(run, shortest, rewritten)) hasMoved = true;
      if (!hasMoved) return undefined;
      if (rewritten.length <= runsMax) return rewritten;
    }
    return undefined;
  }

  /** Appends the run as it is after the moves. Returns whether any move changed it. */
  private rewriteRun(run: Run, shortest: number, rewritten: Run[]): boolean {
    const moves = this.bySource.get(run.blob) ?? [];
    const end = run.physical + run.count;
    let at: number = run.physical;
    let hasMoved = false;
    for (let index = indexAfter(moves, at); index < moves.length && moves[index]!.start < end; index++) {
      const move = moves[index]!;
      const from = Math.max(at, move.start);
      const to = Math.min(end, move.start + move.count);
      if (to - from < shortest) continue;
      const physical = move.physical + from - move.start;
      append(rewritten, run.logical + at - run.physical, from - at, run.blob, at);
      append(rewritten, run.logical + from - run.physical, to - from, move.blob, physical);
      hasMoved = true;
      at = to;
    }
    append(rewritten, run.logical + at - run.physical, end - at, run.blob, at);
    return hasMoved;
  }
}

/** Index of the first move that ends after `block`. */
function indexAfter(moves: readonly Move[], block: number): number {
  let low = 0;
  let high = moves.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { start, count } = moves[middle]!;
    if (start + count > block) high = middle;
    else low = middle + 1;
  }
  return low;
}

function append(runs: Run[], logical: number, count: number, blob: BlobId, physical: number): void {
  if (count === 0) return;
  // The casts: both are computed from blocks of a file and of a blob.
  appendRun(runs, { logical: logical as BlockIndex, count, blob, physical: physical as BlockIndex });
}
