/** Scrub: reading a range of a sealed blob from the file and comparing it with its checksums. */
import { BLOCK_SIZE, type BlockIndex, checksum64, isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { BlobFile } from './blob-file.ts';
import { SCRATCH_BLOCKS } from './scratch.ts';

/** Receives each bad block and what is wrong with it, as a clause such as "checksum does not match". */
export type VisitBad = (block: BlockIndex, problem: string) => void;

/** Compares blocks `[start, start + count)`. `scratch` holds SCRATCH_BYTES. */
export function scrubBlocks(
  system: System,
  file: BlobFile,
  fd: number,
  sums: BigUint64Array,
  start: number,
  count: number,
  scratch: Uint8Array,
  visitBad: VisitBad,
): void {
  const end = start + count;
  for (let block = start; block < end; block += SCRATCH_BLOCKS) {
    const chunk = Math.min(SCRATCH_BLOCKS, end - block);
    if (scrubChunk(system, file, fd, sums, block, chunk, scratch, visitBad)) continue;
    // The disk failed somewhere in the chunk: find out where, one block at a time.
    for (let one = block; one < block + chunk; one++) {
      if (scrubChunk(system, file, fd, sums, one, 1, scratch, visitBad)) continue;
      report(file, one, 'the disk cannot read it', visitBad);
    }
  }
}

/** False when the chunk could not be read in one piece. */
function scrubChunk(
  system: System,
  file: BlobFile,
  fd: number,
  sums: BigUint64Array,
  start: number,
  count: number,
  scratch: Uint8Array,
  visitBad: VisitBad,
): boolean {
  const length = count * BLOCK_SIZE;
  let got: number;
  try {
    got = system.pread(fd, scratch, 0, length, start * BLOCK_SIZE);
  } catch (error) {
    if (isFsError(error, 'EIO')) return false;
    throw error;
  }
  scratch.fill(0, got, length);
  for (let index = 0; index < count; index++) {
    const at = index * BLOCK_SIZE;
    const problem = judge(scratch.subarray(at, at + BLOCK_SIZE), at < got, sums[start + index]);
    if (problem !== undefined) report(file, start + index, problem, visitBad);
  }
  return true;
}

function judge(bytes: Uint8Array, isInFile: boolean, sum: bigint | undefined): string | undefined {
  if (!isInFile) return 'it lies beyond the end of the file';
  if (sum === undefined) return 'it has no checksum';
  return checksum64(bytes) === sum ? undefined : 'checksum does not match';
}

/** The next read of a block that turned out bad checks it again, and then fails with EIO. */
function report(file: BlobFile, block: number, problem: string, visitBad: VisitBad): void {
  file.touched.clearRange(block, block + 1);
  // Blocks counted from the start of a blob are block indexes.
  visitBad(block as BlockIndex, problem);
}
