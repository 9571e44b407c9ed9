/** The buffer that a `BlobSpace` keeps for what it reads piece by piece. */
import { BLOCK_SIZE } from '../base/index.ts';

/** Most bytes read or written at once. */
export const SCRATCH_BYTES = 1024 * 1024;
export const SCRATCH_BLOCKS = SCRATCH_BYTES / BLOCK_SIZE;
