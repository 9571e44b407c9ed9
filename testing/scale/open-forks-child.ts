/** Opens many forks of one snapshot, and prints the JavaScript memory of each in bytes: idle, and used. */
import { type Fork, Store } from '../../src/library/index.ts';

const [directory, count] = [process.argv[2]!, Number(process.argv[3])];

async function heapBytes(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function use({ fs }: Fork, index: number): void {
  fs.readFileSync('/some file');
  fs.writeFileSync(`/new-${index}`, 'something of its own');
}

const store = await Store.open(directory);
const base = await store.snapshot('base');
const warm: Fork[] = [];
for (let at = 0; at < 20; at++) warm.push(await base.fork(`warm-${at}`));
for (const [at, fork] of warm.entries()) use(fork, at);
for (const fork of warm.splice(0)) await fork.close();
const before = await heapBytes();
const forks: Fork[] = [];
for (let at = 0; at < count; at++) forks.push(await base.fork(`fork-${at}`));
const idle = await heapBytes();
for (const [at, fork] of forks.entries()) use(fork, at);
const used = await heapBytes();
await store.close();
process.stdout.write(JSON.stringify({ idle: (idle - before) / count, used: (used - before) / count }));
