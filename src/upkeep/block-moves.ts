/**
 * Moves of blocks, and the maps of files after them. A move is about physical blocks: every file that names the one
 * place gets the other, which has the same bytes.
 */
import type { BlobId, BlockIndex, Run } from '../base/index.ts';
import { appendRun } from '../extent/index.ts';

/**
 * A file gets no more runs than this, or than it has: a map of very many pieces costs the process that maps it more
 * than it shares. The shortest moves are left out first.
 */
const RUNS_MAX = 4096;
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
  private moves = 0;

  get count(): number {
    return this.moves;
  }

  clear(): void {
    this.bySource.clear();
    this.moves = 0;
  }

  /** The blocks of one source come in ascending order. */
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
      this.moves++;
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

  /** The map of a file after the moves, runs joined where they continue each other; undefined when it stays. */
  rewrite(runs: readonly Run[]): readonly Run[] | undefined {
    const runsMax = Math.max(RUNS_MAX, runs.length);
    for (let shortest = 1; shortest <= SHORTEST_MAX; shortest *= 4) {
      const rewritten = new RewrittenRuns();
      for (const run of runs) this.rewriteRun(run, shortest, rewritten);
      if (!rewritten.hasMoved) return undefined;
      if (rewritten.runs.length <= runsMax) return rewritten.runs;
    }
    return undefined;
  }

  private rewriteRun(run: Run, shortest: number, rewritten: RewrittenRuns): void {
    const moves = this.bySource.get(run.blob) ?? [];
    const end = run.physical + run.count;
    let at: number = run.physical;
    for (let index = indexAfter(moves, at); index < moves.length && moves[index]!.start < end; index++) {
      const move = moves[index]!;
      const from = Math.max(at, move.start);
      const to = Math.min(end, move.start + move.count);
      if (to - from < shortest) continue;
      rewritten.append(run.logical + at - run.physical, from - at, run.blob, at);
      rewritten.append(
        run.logical + from - run.physical,
        to - from,
        move.blob,
        move.physical + from - move.start,
      );
      rewritten.hasMoved = true;
      at = to;
    }
    rewritten.append(run.logical + at - run.physical, end - at, run.blob, at);
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

class RewrittenRuns {
  readonly runs: Run[] = [];
  hasMoved = false;

  append(logical: number, count: number, blob: BlobId, physical: number): void {
    if (count === 0) return;
    // Both are counted from blocks of a file and of a blob.
    appendRun(this.runs, { logical: logical as BlockIndex, count, blob, physical: physical as BlockIndex });
  }
}
