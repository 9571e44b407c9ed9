/** The memory calls of a system that has none. */
import { FsError } from '../base/index.ts';
import type { FrameCalls, MemoryCalls } from './parts.ts';

/** The memory calls where there are none: ENOTSUP. */
export function withoutMemory(): MemoryCalls & FrameCalls {
  function refuse(): never {
    throw new FsError('ENOTSUP', { syscall: 'mmap', note: 'this system cannot map files into memory' });
  }
  return {
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
  };
}
