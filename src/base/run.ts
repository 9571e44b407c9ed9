/** Runs: the pieces that a file consists of, in memory and as stored. */
import type { BlobId, BlockIndex } from './brand.ts';

/** Logical blocks in a chunk (4 MiB of the file). A run belongs to the chunk of its first block. */
export const CHUNK_BLOCKS = 1024;

/** Maps `count` logical blocks, from `logical` on, to blocks of `blob`, from `physical` on. */
export interface Run {
  readonly logical: BlockIndex;
  readonly count: number;
  readonly blob: BlobId;
  readonly physical: BlockIndex;
}

/** The chunk of a run that starts at block `logical`. */
export function chunkOf(logical: number): number {
  return Math.floor(logical / CHUNK_BLOCKS);
}

/** The runs of a file, in order, divided by chunk. */
export function* runsByChunk(
  runs: readonly Run[],
): Generator<{ readonly chunk: number; readonly runs: readonly Run[] }> {
  for (let from = 0; from < runs.length; ) {
    const chunk = chunkOf(runs[from]!.logical);
    let to = from + 1;
    while (to < runs.length && chunkOf(runs[to]!.logical) === chunk) to++;
    yield { chunk, runs: runs.slice(from, to) };
    from = to;
  }
}
