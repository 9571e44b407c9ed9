/** Which blocks of a file are in the page cache. */
import { BLOCK_SIZE } from '../base/index.ts';
import type { System } from '../sys/index.ts';

/** One byte a block, 1 or 0; mincore(2). Nothing of the file is touched. ENOTSUP where the system cannot map. */
export function residentBlocks(system: System, fd: number, startBlock: number, count: number): Uint8Array {
  const length = count * BLOCK_SIZE;
  const address = system.mapWindow(fd, startBlock * BLOCK_SIZE, length);
  try {
    return system.residency(address, length).map((state) => state & 1);
  } finally {
    system.unmap(address, length);
  }
}
