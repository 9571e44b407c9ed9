/** `npm run bench`: the library, beside node:fs, other filesystems in JavaScript, and the kernel's. */
import { forkBenchmark } from './fork.ts';
import { libraryBenchmark } from './library.ts';
import { memoryBenchmark, writeBenchmark } from './memory.ts';
import { openBenchmark } from './open.ts';
import { runBenchmarks } from './run.ts';
import { scaleBenchmark } from './scale.ts';
import { sequentialBenchmark } from './sequential.ts';
import { twoBenchmark } from './two.ts';

await runBenchmarks('bench', [
  libraryBenchmark,
  twoBenchmark,
  memoryBenchmark,
  writeBenchmark,
  sequentialBenchmark,
  forkBenchmark,
  openBenchmark,
  scaleBenchmark,
]);
