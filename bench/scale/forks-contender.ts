/** A given number of forks of one snapshot, open at once in one process: time and memory for each. */
import { readdirSync } from 'node:fs';
import { type Fork, Store } from '../../src/library/index.ts';
import { contenderArgument } from '../measure/contender.ts';
import { summarize, summarizeSingle } from '../measure/sampling.ts';
import { type ForksArgument, type ForksResult, filePath } from './cases.ts';

interface Memory {
  readonly heapBytes: number;
  readonly residentBytes: number;
}

/** Memory of the process without garbage, once background work has ended. */
async function memory(): Promise<Memory> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc?.();
  globalThis.gc?.();
  // External memory is left out: it counts the windows of blobs, which are shared pages of the kernel.
  const { rss, heapUsed } = process.memoryUsage();
  return { heapBytes: heapUsed, residentBytes: rss };
}

function use({ fs }: Fork, index: number): void {
  fs.readFileSync(filePath(index % 500));
  fs.writeFileSync(`/new-${index}`, 'something of its own');
}

const { storeDirectory, forks: count } = contenderArgument<ForksArgument>();
const store = await Store.open(storeDirectory);
const base = await store.snapshot('base');
const warm: Fork[] = [];
// Before memory is counted, this compiles the code and allocates everything that a process has only once.
for (let at = 0; at < 50; at++) {
  const fork = await base.fork(`warm-${process.pid}-${at}`);
  use(fork, at);
  warm.push(fork);
}
for (const fork of warm.splice(0)) await fork.close();
const before = await memory();
const forks: Fork[] = [];
const times: number[] = [];
for (let at = 0; at < count; at++) {
  const started = performance.now();
  forks.push(await base.fork(`fork-${process.pid}-${at}`));
  times.push(performance.now() - started);
}
const idle = await memory();
const descriptors = readdirSync('/proc/self/fd').length;
for (const [index, fork] of forks.entries()) use(fork, index);
const used = await memory();
const perFork = (bytes: number) => summarize([Math.max(0, bytes) / 1024 / count]);
const result: ForksResult = {
  forkMs: summarizeSingle(times),
  idleHeapKib: perFork(idle.heapBytes - before.heapBytes),
  idleResidentKib: perFork(idle.residentBytes - before.residentBytes),
  usedHeapKib: perFork(used.heapBytes - before.heapBytes),
  usedResidentKib: perFork(used.residentBytes - before.residentBytes),
  descriptors: summarize([descriptors]),
};
await store.close();
process.stdout.write(JSON.stringify(result));
