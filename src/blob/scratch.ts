/** Size of the buffers through which this room reads and writes piece by piece. */
import { BLOCK_SIZE } from '../base/index.ts';

export const SCRATCH_BYTES = 1024 * 1024;
export const SCRATCH_BLOCKS = SCRATCH_BYTES / BLOCK_SIZE;
