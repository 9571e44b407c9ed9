/** Cuts the holes out of runs of host files: in a fork's extent map a host file is one run, whatever holes it has. */
import { BLOCK_SIZE, type BlockIndex, blocksFor, type Run } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { dataSegments } from '../extent/index.ts';

/** The parts of `runs` with data in their blobs, in order. ESTALE where a recorded host file has changed. */
export function dataRuns(blobs: BlobSpace, runs: readonly Run[]): Run[] {
  return runs.flatMap((run) => {
    const { logical, count, blob, physical } = run;
    if (blobs.isStored(blob)) return [run];
    const calls = {
      seekData: (position: number) => blobs.seekData(blob, position),
      seekHole: (position: number) => blobs.seekHole(blob, position),
    };
    const [start, end] = [physical * BLOCK_SIZE, (physical + count) * BLOCK_SIZE];
    return dataSegments(calls, end, start).map((segment) => {
      const first = (segment.start / BLOCK_SIZE) as BlockIndex; // The cast: segments begin with blocks.
      return {
        logical: (logical + first - physical) as BlockIndex, // As far into the run as `first`.
        count: blocksFor(segment.end) - first,
        blob,
        physical: first,
      };
    });
  });
}
