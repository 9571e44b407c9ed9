/** `npm run bench:dedupe`: two versions of real packages in one store, compared with their sum and with the optimum. */
import { dedupeBenchmark } from './dedupe/packages.ts';
import { runBenchmarks } from './measure/run.ts';

await runBenchmarks('bench:dedupe', [dedupeBenchmark]);
