/** Plans in advance what each fork changes. The demo follows the plan, and checks the forks against it. */
import { BLOCK_SIZE } from '../base/index.ts';
import { SeededBytes } from './seeded-bytes.ts';

/** Path of the large file in the imported tree. */
export const BIG_FILE = '/large.bin';

const CHANGED_FILES = 3;
/**
 * Strides through the lists of files and of pages. Each stride is prime: unless it divides the length of the list,
 * steps of this size visit every entry before they repeat one.
 */
const FILE_STRIDE = 7919;
const PAGE_STRIDE = 104_729;

export interface ForkPlan {
  readonly name: string;
  /** The block of the large file that the fork overwrites, and its new bytes. */
  readonly page: number;
  readonly pageBytes: Buffer;
  /** Small files that the fork overwrites or adds, by absolute path. */
  readonly written: ReadonlyMap<string, Buffer>;
  /** A small file that the fork unlinks; undefined in a tree without small files. */
  readonly removed: string | undefined;
}

/** Plans `count` forks of a tree with these small files (absolute paths) and a large file of `bigBytes` bytes. */
export function planForks(count: number, bigBytes: number, smallFiles: readonly string[]): ForkPlan[] {
  const pages = bigBytes / BLOCK_SIZE;
  return Array.from({ length: count }, (_, index) => {
    const name = `try-${String(index + 1).padStart(String(count).length, '0')}`;
    const content = new SeededBytes(`ramet demo, ${name}`);
    const chosen = new Set<string>();
    for (let pick = 0; pick <= CHANGED_FILES && smallFiles.length > 0; pick++) {
      chosen.add(smallFiles[((index * (CHANGED_FILES + 1) + pick) * FILE_STRIDE) % smallFiles.length]!);
    }
    const [removed, ...changed] = chosen;
    const written = new Map<string, Buffer>();
    // The lengths are one byte below a multiple of a block in the first fork, a multiple in the second, and more in
    // later ones.
    for (const [at, file] of changed.entries()) {
      written.set(file, content.at((at + 1) * BLOCK_SIZE * 16, BLOCK_SIZE * (at + 1) - 1 + index));
    }
    written.set(`/new in ${name}`, Buffer.from(`only ${name} has this file\n`));
    const page = (index * PAGE_STRIDE + Math.floor(pages / 3)) % pages;
    return { name, page, pageBytes: content.at(0, BLOCK_SIZE), written, removed };
  });
}

/** A block of the large file that no plan touches; undefined in a file too small to have one. */
export function untouchedPage(plans: readonly ForkPlan[], bigBytes: number): number | undefined {
  const touched = new Set(plans.map((plan) => plan.page));
  for (let page = 0; page < bigBytes / BLOCK_SIZE; page++) if (!touched.has(page)) return page;
  return undefined;
}
