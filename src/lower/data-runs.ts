/** Runs of host files without the holes that these have: to the extent map of a fork such a file is one run. */
import { BLOCK_SIZE, type BlockIndex, blocksFor, type Run } from '../base/index.ts';
import { type BlobSpace, isExternal } from '../blob/index.ts';
import { dataSegments } from '../extent/index.ts';

/** The parts of `runs` that are no holes of a host file, in order. ESTALE where a recorded file has changed. */
export function dataRuns({ externals }: BlobSpace, runs: readonly Run[]): Run[] {
  return runs.flatMap((run) => {
    const { logical, count, blob, physical } = run;
    if (!isExternal(blob)) return [run];
    const calls = {
      seekData: (position: number) => externals.seekData(blob, position),
      seekHole: (position: number) => externals.seekHole(blob, position),
    };
    const [start, end] = [physical * BLOCK_SIZE, (physical + count) * BLOCK_SIZE];
    return dataSegments(calls, end, start).map((segment) => {
      const first = (segment.start / BLOCK_SIZE) as BlockIndex; // Segments begin at blocks.
      return {
        logical: (logical + first - physical) as BlockIndex, // As far into the run as `first` is.
        count: blocksFor(segment.end) - first,
        blob,
        physical: first,
      };
    });
  });
}
