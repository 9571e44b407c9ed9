/** The process that dedupe.test.ts kills: makes equal blocks one and gives the others back, until it is killed. */
import { writeSync } from 'node:fs';
import { StoreEngine } from '../../src/store/index.ts';
import { collectGarbage, dedupeStore } from '../../src/upkeep/index.ts';

const [directory] = process.argv.slice(2);
const engine = await StoreEngine.open(directory!);
writeSync(1, '.');
// So little memory that there are many passes, so that the kill comes in the middle of one.
await dedupeStore(engine, { memoryBytes: 4096 });
collectGarbage(engine);
// It waits to be killed with the store open.
setInterval(() => undefined, 1000);
