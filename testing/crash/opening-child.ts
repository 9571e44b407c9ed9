/** The process that kill.test.ts kills while it brings a store to its last acknowledged state. */
import { writeSync } from 'node:fs';
import { StoreEngine } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';

writeSync(1, '.');
const engine = await StoreEngine.open(process.argv[2]!);
for (const { name, kind } of engine.list()) if (kind === 'fork') engine.openTree(name).close();
collectGarbage(engine);
// The process waits until it is killed.
setInterval(() => undefined, 1000);
