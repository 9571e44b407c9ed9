/** Where a file has data and where it has holes, as lseek(2) tells by SEEK_DATA and SEEK_HOLE. */
import { BLOCK_SIZE } from '../base/index.ts';

/** A stretch of a file that holds data, `[start, end)` in bytes; what lies between stretches is a hole. */
export interface DataSegment {
  readonly start: number;
  readonly end: number;
}

/** lseek(2) of one open file; undefined where it says ENXIO. */
export interface SeekCalls {
  seekData(position: number): number | undefined;
  seekHole(position: number): number | undefined;
}

/**
 * Where a file has data in `[start, end)`, in order, in whole blocks of 4,096 bytes (the last may end at `end`). Where
 * the host knows no holes all of it is one segment. `start` is that of a block. After `segmentsMax` segments the last
 * one reaches to `end`.
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
    // A file that shrinks meanwhile must not keep this loop from moving on.
    position = Math.max(hole, data + 1);
  }
  return segments;
}
