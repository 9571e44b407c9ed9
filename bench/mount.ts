/** `npm run bench:mount`: mounted forks, beside ext4, overlayfs and fuse-overlayfs. */

import { runBenchmarks } from './measure/run.ts';
import { mountCallsBenchmark } from './mount/calls.ts';
import { mountManyBenchmark, mountMemoryBenchmark } from './mount/memory.ts';
import { mountProgramsBenchmark, mountTreesBenchmark } from './mount/trees.ts';

await runBenchmarks('bench:mount', [
  mountCallsBenchmark,
  mountTreesBenchmark,
  mountProgramsBenchmark,
  mountMemoryBenchmark,
  mountManyBenchmark,
]);
