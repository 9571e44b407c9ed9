/**
 * Makes a directory of many names in a fork, forks that, reads the directory in every way, and prints its findings and
 * the heap that it took as JSON.
 */
import { type Fork, Store } from '../../src/library/index.ts';

const [directory, count] = [process.argv[2]!, Number(process.argv[3])];
let heapMax = 0;

async function noteHeap(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  globalThis.gc?.();
  heapMax = Math.max(heapMax, process.memoryUsage().heapUsed);
}

function nameOf(index: number): string {
  return `file-${(index * 7919) % count}`;
}

async function readAll({
  fs,
}: Fork): Promise<{ listed: number; distinct: number; handle: number; stats: number }> {
  const names = fs.readdirSync('/d');
  const distinct = new Set(names).size;
  let handle = 0;
  const opened = fs.opendirSync('/d');
  while (opened.readSync() !== null) handle++;
  opened.closeSync();
  let stats = 0;
  for (let index = 0; index < count; index++) if (fs.statSync(`/d/${nameOf(index)}`).isFile()) stats++;
  await noteHeap();
  return { listed: names.length, distinct, handle, stats };
}

/** Smaller sizes have smaller cache limits, so that every size reaches them. */
const cache = count < 200_000 ? { cache: { inodesMax: 8192, namesMax: 16_384 } } : {};
const store = await Store.open(directory, cache);
const made = await store.createFork({ name: 'made', lowers: [] });
made.fs.mkdirSync('/d');
for (let index = 0; index < count; index++) made.fs.writeFileSync(`/d/file-${index}`, '');
await noteHeap();
const before = await readAll(made);
const fork = await made.fork('fork');
for (let index = 0; index < count; index += 2) fork.fs.unlinkSync(`/d/file-${index}`);
fork.fs.renameSync('/d/file-1', '/d/renamed');
fork.fs.writeFileSync('/d/new', 'new');
const changed = fork.fs.readdirSync('/d').length;
const isMissing = !fork.fs.existsSync('/d/file-0') && !fork.fs.existsSync('/d/file-1');
await noteHeap();
await made.close();
await fork.close();
const again = await store.fork('made');
const after = await readAll(again);
await store.close();
console.log(JSON.stringify({ before, after, changed, isMissing, heapMax }));
