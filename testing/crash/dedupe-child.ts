/** The process that dedupe.test.ts kills: dedupes, collects, and waits to be killed. */
import { writeSync } from 'node:fs';
import { StoreEngine } from '../../src/store/index.ts';
import { collectGarbage, dedupeStore } from '../../src/upkeep/index.ts';

const [directory] = process.argv.slice(2);
const engine = await StoreEngine.open(directory!);
writeSync(1, '.');
// With little memory dedupe takes many passes, so that the kill comes in the middle of one.
await dedupeStore(engine, { memoryBytes: 4096 });
collectGarbage(engine);
// The process waits, with the store open, until it is killed.
setInterval(() => undefined, 1000);
