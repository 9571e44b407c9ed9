/** `npm run bench`: the library, compared with node:fs, other filesystems in JavaScript, and the kernel's. */

import { libraryBenchmark } from './library/calls.ts';
import { forkBenchmark } from './library/fork.ts';
import { openBenchmark } from './library/open.ts';
import { sequentialBenchmark } from './library/sequential.ts';
import { twoProcessesBenchmark } from './library/two-processes.ts';
import { runBenchmarks } from './measure/run.ts';
import { memoryBenchmark, writeBenchmark } from './memory/memory.ts';
import { scaleBenchmark } from './scale/scale.ts';

await runBenchmarks('bench', [
  libraryBenchmark,
  twoProcessesBenchmark,
  memoryBenchmark,
  writeBenchmark,
  sequentialBenchmark,
  forkBenchmark,
  openBenchmark,
  scaleBenchmark,
]);
