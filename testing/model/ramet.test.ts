/** Random histories over forks, snapshots, clones, crashes and reopening: the store agrees with the model. */
import { test } from 'node:test';
import { ModelFs } from './model-fs.ts';
import { RametActor } from './ramet-actor.ts';
import { runHistory } from './run-history.ts';

const SEEDS = 20;
const OPERATIONS = 400;

/** `RAMET_SEED=17` runs one seed, `RAMET_SEEDS=500` more than the usual. */
const only = process.env.RAMET_SEED;
const first = only === undefined ? 1 : Number(only);
const last = only === undefined ? Number(process.env.RAMET_SEEDS ?? SEEDS) : first;

for (let seed = first; seed <= last; seed++) {
  test(`seed ${seed}: ${OPERATIONS} operations`, async () => {
    const model = new ModelFs();
    const ramet = await RametActor.create();
    try {
      await runHistory(seed, OPERATIONS, model, ramet, { isRooted: true, compareEvery: 50 });
    } finally {
      await ramet.close();
    }
  });
}
