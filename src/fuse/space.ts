/** Space and inodes of the host's filesystem that holds the store, as statfs(2) counts them. */
import { statfsSync } from 'node:fs';
import { FsError } from '../base/index.ts';
import type { SpaceCounts } from '../vfs/index.ts';

/** The host is asked again only after this time. */
const FRESH_MS = 500;

/** Counts the space that `directory` lies in. */
export function spaceCounter(directory: string): () => SpaceCounts {
  let counts: SpaceCounts | undefined;
  let countedAt = 0;
  return () => {
    const now = performance.now();
    if (counts === undefined || now - countedAt > FRESH_MS) {
      try {
        counts = statfsSync(directory);
      } catch {
        throw new FsError('EIO', { syscall: 'statfs', path: directory });
      }
      countedAt = now;
    }
    return counts;
  };
}
