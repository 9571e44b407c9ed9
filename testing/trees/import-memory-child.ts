/** Imports an archive into a new store, and prints the most bytes by which its own memory grew meanwhile. */
import { readFileSync } from 'node:fs';
import { StoreEngine } from '../../src/store/index.ts';
import { importTree } from '../../src/transfer/index.ts';

/** Anonymous memory (proc(5), RssAnon). Pages of files do not count: the kernel can take them back at any time. */
function ownBytes(): number {
  return Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))![1]) * 1024;
}

const [store, archive] = process.argv.slice(2) as [string, string];
const engine = await StoreEngine.open(store, { create: true });
const start = ownBytes();
let most = start;
const look = (): void => {
  most = Math.max(most, ownBytes());
};
const timer = setInterval(look, 20);
await importTree(engine, archive, { name: 'tree', progress: look });
clearInterval(timer);
look();
await engine.close();
console.log(most - start);
