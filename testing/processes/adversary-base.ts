/** The snapshot that all adversaries fork. */
export const BASE_FILES = 8;
export const BASE_BLOCKS = 16;

/** The tag that fills block `block` of file `file`. */
export function baseTag(file: number, block: number): number {
  return 1_000 + file * BASE_BLOCKS + block;
}
