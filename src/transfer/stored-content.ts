/** The stored content of one imported file. */
import type { Run } from '../base/index.ts';

export interface FileContent {
  /** Number of bytes that were read. It may differ from the stat's size if the file was changing. */
  readonly sizeBytes: number;
  readonly runs: readonly Run[];
  readonly storedBytes: number;
  readonly sharedBytes: number;
  readonly clonedBytes: number;
}

export function countBlocks(runs: readonly Run[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0);
}

export const NO_CONTENT: FileContent = {
  sizeBytes: 0,
  runs: [],
  storedBytes: 0,
  sharedBytes: 0,
  clonedBytes: 0,
};
