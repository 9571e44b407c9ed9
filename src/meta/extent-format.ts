/**
 * Bytes of a row of the extent table. Key: see key-format. A row holds the runs of one file that *start* in one chunk
 * of 1,024 blocks (4 MiB). A run may reach past its chunk, so an unfragmented file of any size is one row. Runs are in
 * order and do not overlap; what no run covers is a hole.
 *
 *   varint  count of runs, then for each run:
 *   varint  logical start, as a distance from the previous run's end; for the first run, from the chunk's start
 *   varint  2 × count of blocks + (1 when the blob is the previous run's blob)
 *   then, for another blob (and for the first run):
 *     varint  blob
 *     varint  physical start
 *   or, for the same blob:
 *     varint  physical start as a zigzag distance from the previous run's physical end (0, -1, 1, … as 0, 1, 2, …)
 */
import {
  assert,
  type BlobId,
  type BlockIndex,
  type ByteReader,
  type ByteWriter,
  CHUNK_BLOCKS,
  chunkOf,
  DecodeError,
  type Run,
} from '../base/index.ts';
import { BLOCKS_END } from './fields.ts';

export function encodeRuns(writer: ByteWriter, chunk: number, runs: readonly Run[]): void {
  writer.varint(runs.length);
  let logicalEnd = chunk * CHUNK_BLOCKS;
  let blob = 0;
  let physicalEnd = 0;
  for (const run of runs) {
    assert(run.count > 0 && run.blob > 0, 'a run has blocks and a blob');
    assert(
      run.logical >= logicalEnd && chunkOf(run.logical) === chunk,
      'a run starts in its chunk, in order',
    );
    const isSameBlob = run.blob === blob;
    writer.varint(run.logical - logicalEnd).varint(run.count * 2 + (isSameBlob ? 1 : 0));
    if (isSameBlob) {
      const distance = run.physical - physicalEnd;
      writer.varint(distance < 0 ? -2 * distance - 1 : 2 * distance);
    } else {
      writer.varint(run.blob).varint(run.physical);
    }
    logicalEnd = run.logical + run.count;
    blob = run.blob;
    physicalEnd = run.physical + run.count;
  }
}

/** Appends the runs of one chunk to `runs`, which holds the runs of the file's earlier chunks. */
export function decodeRuns(reader: ByteReader, chunk: number, runs: Run[]): void {
  const total = reader.varint();
  let logicalEnd = chunk * CHUNK_BLOCKS;
  let blob = 0;
  let physicalEnd = 0;
  const before = runs.at(-1);
  const freeFrom = before === undefined ? 0 : before.logical + before.count;
  for (let index = 0; index < total; index++) {
    const logical = logicalEnd + reader.varint();
    const packed = reader.varint();
    const count = Math.floor(packed / 2);
    let physical: number;
    if (packed % 2 === 1) {
      const zigzag = reader.varint();
      physical = physicalEnd + (zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2);
    } else {
      blob = reader.varint();
      physical = reader.varint();
    }
    if (blob === 0 || count === 0 || physical < 0) throw new DecodeError('run has no blob or no blocks');
    if (chunkOf(logical) !== chunk || logical < freeFrom)
      throw new DecodeError('run overlaps another or lies outside its chunk');
    if (logical + count > BLOCKS_END || physical + count > BLOCKS_END)
      throw new DecodeError('run is too long');
    // The fields hold what encodeRuns wrote: two block indexes and a blob's number.
    runs.push({
      logical: logical as BlockIndex,
      count,
      blob: blob as BlobId,
      physical: physical as BlockIndex,
    });
    logicalEnd = logical + count;
    physicalEnd = physical + count;
  }
}
