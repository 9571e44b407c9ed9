/** `npm run bench:host`: forks of directories of the host, compared with overlays. */
import { hostCopyUpBenchmark } from './host/copy-up.ts';
import { hostForkBenchmark } from './host/fork.ts';
import { runBenchmarks } from './measure/run.ts';

await runBenchmarks('bench:host', [hostForkBenchmark, hostCopyUpBenchmark]);
