/** The memory calls of a system that cannot map files: all of them fail with ENOTSUP. */
import { FsError } from '../base/index.ts';
import type { System } from './system.ts';

function refuse(): never {
  throw new FsError('ENOTSUP', { syscall: 'mmap', note: 'this system cannot map files into memory' });
}

export const withoutMemory = {
  canMap: false,
  reserve: refuse,
  mapWindow: refuse,
  mapView: refuse,
  mapZeros: refuse,
  unmap: refuse,
  bufferAt: refuse,
  residency: refuse,
  advise: refuse,
  frameNumbers: refuse,
  frameMapCounts: refuse,
} satisfies Partial<System>;
