/** `kill -9`, at random moments, of a process that writes to a store, and then of processes that recover the store. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { swept } from '../pace/sweep.ts';
import { problemsOf } from '../stores/shared-store.ts';
import { disagreement } from './crash-check.ts';
import { imagesDirectory } from './crash-images.ts';
import { type TreeModel, Workload } from './crash-workload.ts';
import { killed } from './killed.ts';

const STEPS = 2000;
const isNative = createSystem().kind === 'native';
const KILLS = swept(isNative ? { sample: 30, long: 200, all: 2_000 } : { sample: 20, long: 20, all: 200 });
/** Stores tested side by side: more than there are cores, because a process that starts waits for the disk. */
const LANES = 4;
const DELAY_MS_MAX = 120;
const OPENING_MS_MAX = 40;
const writer = fileURLToPath(new URL('./killed-child.js', import.meta.url));
const opener = fileURLToPath(new URL('./opening-child.js', import.meta.url));

/** Ends a dry run. */
class Stop extends Error {}

/** The states each tree may be in: after the acknowledged steps, or after one more. */
function allowed(
  seed: number,
  acknowledged: number,
): { before: Workload; after: ReadonlyMap<string, TreeModel> } {
  const runUntil = (steps: number): Workload => {
    const workload: Workload = new Workload(undefined, seed, () => {
      if (workload.done === steps) throw new Stop();
    });
    try {
      workload.run(STEPS);
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
    }
    return workload;
  };
  const after = new Map(
    [...runUntil(acknowledged + 1).trees].map(([name, { states }]) => [name, states.at(-1)!]),
  );
  return { before: runUntil(acknowledged), after };
}

async function checkKilled(directory: string, seed: number, acknowledged: number): Promise<void> {
  const text = `seed ${seed}, ${acknowledged} steps acknowledged`;
  const { before, after } = allowed(seed, acknowledged);
  const engine = await StoreEngine.open(directory);
  try {
    assert.deepEqual(problemsOf(engine, { scrub: true }), [], text);
    for (const { name } of engine.list()) {
      const states = [
        ...(before.trees.get(name)?.states.slice(-1) ?? []),
        ...(after.has(name) ? [after.get(name)!] : []),
      ];
      const tree = engine.openTree(name);
      assert.equal(disagreement(tree, states), undefined, `${text}: tree ${name}`);
      tree.close();
    }
    for (const name of before.trees.keys()) {
      if (after.has(name)) assert.doesNotThrow(() => engine.info(name), `${text}: tree ${name}`);
    }
    collectGarbage(engine);
    assert.deepEqual(problemsOf(engine), [], `${text}, after gc`);
  } finally {
    await engine.close();
  }
}

interface Totals {
  steps: number;
  killedOpeners: number;
}

async function oneKill(seed: number, totals: Totals): Promise<void> {
  const random = new SeededRandom(seed * 7919);
  // What a killed process wrote is in the page cache, so a store in memory will do; more steps fit into the time there.
  const parent = seed % 2 === 0 ? mkdtempSync(`${tmpdir()}/ramet-kill-`) : imagesDirectory();
  const directory = `${parent}/store`;
  try {
    const delayMs = random.below(DELAY_MS_MAX);
    const acknowledged = await killed(writer, [directory, String(seed), String(STEPS)], delayMs);
    totals.steps += acknowledged;
    // Two processes that open the store are killed while they do so, for every third store.
    for (let openers = seed % 3 === 0 ? 2 : 0; openers > 0; openers--) {
      await killed(opener, [directory], random.below(OPENING_MS_MAX));
      totals.killedOpeners++;
    }
    await checkKilled(directory, seed, acknowledged);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

test(`nothing acknowledged is lost when the process is killed, ${KILLS} times`, {
  timeout: 3_600_000,
}, async () => {
  const totals: Totals = { steps: 0, killedOpeners: 0 };
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < KILLS) await oneKill(next++, totals);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  assert.ok(totals.steps > KILLS * 10, `${totals.steps} steps were acknowledged in all`);
  assert.ok(totals.killedOpeners >= Math.floor(KILLS / 3), `${totals.killedOpeners} openers were killed`);
});
