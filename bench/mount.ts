/** `npm run bench:mount`: mounted forks, beside ext4, overlayfs and fuse-overlayfs. */
import { mountCallsBenchmark } from './mount-calls.ts';
import { runBenchmarks } from './run.ts';

await runBenchmarks('bench:mount', [mountCallsBenchmark]);
