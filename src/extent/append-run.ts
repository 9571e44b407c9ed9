/** Lists of runs that grow at their end. */
import type { Run } from '../base/index.ts';

/** Adds a run behind the others; it becomes part of the last one where it continues it. */
export function appendRun(runs: Run[], run: Run): void {
  const last = runs[runs.length - 1];
  const isNext =
    last !== undefined &&
    last.blob === run.blob &&
    last.logical + last.count === run.logical &&
    last.physical + last.count === run.physical;
  if (isNext) runs[runs.length - 1] = { ...last, count: last.count + run.count };
  else runs.push(run);
}
