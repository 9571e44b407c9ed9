/**
 * Physical memory as /proc shows it: `pagemap` gives the frame of each page of this process; `kpagecount` gives the
 * number of times that each frame is mapped. Both hold one 64-bit word per page; kernel document
 * admin-guide/mm/pagemap.rst.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { BLOCK_SIZE } from '../base/index.ts';
import { nodeFailure } from './errno.ts';
import { O_RDONLY } from './open-flags.ts';
import { checkBlocks } from './spans.ts';
import type { System } from './system.ts';
import { uint64 } from './words.ts';

const WORD_BYTES = 8;
const CHUNK_PAGES = 8192;
/** Bit 63: the page is present. Bits 0-54: its frame number. Both masks are for the high half. */
const PRESENT_HIGH = 0x80000000;
const FRAME_HIGH = 0x007fffff;

/**
 * Calls `use` with a descriptor of one of the two files, and returns its result. Returns undefined if the file cannot
 * be opened.
 */
function withTable<T>(path: string, use: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY);
  } catch {
    // The file is absent, or only root may read it.
    return undefined;
  }
  try {
    return use(fd);
  } catch (error) {
    throw nodeFailure(error, 'read', path);
  } finally {
    closeSync(fd);
  }
}

function frameNumbers(at: number, pages: number): number[] {
  checkBlocks(at, pages * BLOCK_SIZE);
  const words = new Uint32Array(Math.min(CHUNK_PAGES, pages) * 2);
  const frames: number[] = new Array<number>(pages).fill(0);
  withTable('/proc/self/pagemap', (fd) => {
    for (let first = 0; first < pages; first += CHUNK_PAGES) {
      const wanted = Math.min(CHUNK_PAGES, pages - first);
      const bytes = readSync(fd, words, 0, wanted * WORD_BYTES, (at / BLOCK_SIZE + first) * WORD_BYTES);
      for (let page = 0; page < Math.floor(bytes / WORD_BYTES); page++) {
        const high = words[page * 2 + 1]!;
        if ((high & PRESENT_HIGH) === 0) continue;
        frames[first + page] = words[page * 2]! + (high & FRAME_HIGH) * 2 ** 32;
      }
    }
  });
  return frames;
}

function frameMapCounts(frames: readonly number[]): number[] {
  const word = new Uint32Array(2);
  const counts = withTable('/proc/kpagecount', (fd) =>
    frames.map((frame) =>
      readSync(fd, word, 0, WORD_BYTES, frame * WORD_BYTES) === WORD_BYTES ? uint64(word, 0) : -1,
    ),
  );
  return counts ?? frames.map(() => -1);
}

export const frameCalls = { frameNumbers, frameMapCounts } satisfies Partial<System>;
