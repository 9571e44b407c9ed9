/** The data and holes of a file, as lseek(2) finds them with SEEK_DATA and SEEK_HOLE. */
import { BLOCK_SIZE } from '../base/index.ts';

/** A range of a file that holds data, `[start, end)` in bytes. The ranges between segments are holes. */
export interface DataSegment {
  readonly start: number;
  readonly end: number;
}

/** lseek(2) on one open file; undefined if the call fails with ENXIO. */
export interface SeekCalls {
  seekData(position: number): number | undefined;
  seekHole(position: number): number | undefined;
}

/**
 * The data of a file in `[start, end)`, in order, in whole blocks of 4,096 bytes (the last may end at `end`). A host
 * that does not report holes gives one segment. `start` must be the start of a block. Returns at most `segmentsMax`
 * segments: if there are more, the last one reaches to `end`.
 */
export function dataSegments(
  calls: SeekCalls,
  end: number,
  start = 0,
  segmentsMax = Number.POSITIVE_INFINITY,
): DataSegment[] {
  const segments: { start: number; end: number }[] = [];
  let position = start;
  while (position < end) {
    const data = calls.seekData(position);
    if (data === undefined || data >= end) break;
    const hole = calls.seekHole(data) ?? end;
    const first = Math.floor(data / BLOCK_SIZE) * BLOCK_SIZE;
    const last = segments[segments.length - 1];
    const segmentEnd = Math.min(end, Math.ceil(hole / BLOCK_SIZE) * BLOCK_SIZE);
    if (last !== undefined && first <= last.end) last.end = segmentEnd;
    else if (last !== undefined && segments.length >= segmentsMax) {
      last.end = end;
      break;
    } else segments.push({ start: first, end: segmentEnd });
    // `data + 1`, so that the loop makes progress even if the file shrinks meanwhile.
    position = Math.max(hole, data + 1);
  }
  return segments;
}
