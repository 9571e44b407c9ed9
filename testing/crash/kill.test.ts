/** `kill -9` of a process that works on a store. RAMET_KILLS=n kills so many instead of 10. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { problemsOf } from '../shared-store.ts';
import { disagreement } from './crash-check.ts';
import { type TreeModel, Workload } from './crash-workload.ts';

const STEPS = 2000;
const kills = Number(process.env.RAMET_KILLS ?? 10);
const child = fileURLToPath(new URL('./killed-child.js', import.meta.url));

/** Thrown to end a dry run. */
class Stop extends Error {}

/** Runs the workload in a process and kills that after `delayMs`; returns how many steps it had acknowledged. */
function killed(directory: string, seed: number, delayMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = spawn(process.execPath, [child, directory, String(seed), String(STEPS)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let acknowledged = 0;
    worker.stdout.on('data', (bytes: Buffer) => {
      if (acknowledged === 0) setTimeout(() => worker.kill('SIGKILL'), delayMs);
      acknowledged += bytes.length;
    });
    worker.on('error', reject);
    worker.on('close', (_code, signal) => {
      if (signal === 'SIGKILL') resolve(acknowledged);
      else reject(new Error(`the child ended by itself (${signal})`));
    });
  });
}

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
    engine.gc();
    assert.deepEqual(problemsOf(engine), [], `${text}, after gc`);
  } finally {
    await engine.close();
  }
}

test(`nothing acknowledged is lost when the process is killed, ${kills} times`, async () => {
  const random = new SeededRandom(kills);
  let steps = 0;
  for (let round = 0; round < kills; round++) {
    const directory = mkdtempSync(`${tmpdir()}/ramet-kill-`);
    try {
      const acknowledged = await killed(`${directory}/store`, round, random.below(400));
      steps += acknowledged;
      await checkKilled(`${directory}/store`, round, acknowledged);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  assert.ok(steps > kills, `${steps} steps were acknowledged in all`);
});
