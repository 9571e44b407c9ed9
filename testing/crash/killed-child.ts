/** The process that kill.test.ts kills: runs the workload, and writes a byte for every step that returned. */
import { writeSync } from 'node:fs';
import { StoreEngine } from '../../src/store/index.ts';
import { Workload } from './crash-workload.ts';

const [directory, seed, steps] = process.argv.slice(2);
const engine = await StoreEngine.open(directory!, { create: true });
new Workload(engine, Number(seed), () => void writeSync(1, '.')).run(Number(steps));
// The process waits, with everything open, until it is killed.
setInterval(() => undefined, 1000);
