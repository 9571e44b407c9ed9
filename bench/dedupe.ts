/** `npm run bench:dedupe`: two versions of real packages in one store, beside the sum and the best that is possible. */
import { dedupeBenchmark } from './dedupe/packages.ts';
import { runBenchmarks } from './measure/run.ts';

await runBenchmarks('bench:dedupe', [dedupeBenchmark]);
