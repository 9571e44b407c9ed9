/**
 * The disk fails at one system call. Whether the operation fails or succeeds, the fork is in the state before or after
 * the operation, also when the store is opened again. A sample of the calls is tried; with RAMET_SWEEP=all each call.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, FsError } from '../../src/base/index.ts';
import { createSystem, FaultySystem } from '../../src/sys/index.ts';
import { swept } from '../pace/sweep.ts';
import { problemsOf, SharedStore } from '../stores/shared-store.ts';
import { disagreement } from './crash-check.ts';
import { type TreeModel, Workload } from './crash-workload.ts';

const STEPS = 220;
const SEED = 20_160_515;
const FAULTS = swept({ sample: 8, long: 25, all: Number.POSITIVE_INFINITY });

/** Runs the workload with a failure of call number `failing` (-1: none); returns the number of calls. */
async function runWithFault(failing: number, code: ErrorCode): Promise<number> {
  await using scratch = new SharedStore();
  const system = new FaultySystem(createSystem());
  const engine = await scratch.open(system);
  const workload = new Workload(engine, SEED);
  const start = system.callCount;
  let text = 'no call';
  system.plan = (operation, index) => {
    if (index - start !== failing) return undefined;
    text = `${code} of ${operation}, call ${failing}, after ${workload.done} steps, in ${workload.inFlight?.text}`;
    return { kind: 'error', code };
  };
  try {
    workload.run(STEPS);
  } catch (error) {
    if (!(error instanceof FsError)) throw new Error(text, { cause: error });
  }
  system.plan = undefined;
  const calls = system.callCount - start;
  const states = allowed(workload);
  for (const [name, tree] of workload.openTrees) {
    if (!tree.isClosed)
      assert.equal(disagreement(tree, states.get(name)!), undefined, `${text}: tree ${name}`);
  }
  await scratch.crash(engine, system);
  const next = await scratch.open();
  assert.deepEqual(problemsOf(next, { scrub: true }), [], text);
  for (const { name } of next.list()) {
    const tree = next.openTree(name);
    assert.equal(disagreement(tree, states.get(name)!), undefined, `${text}: tree ${name}, opened again`);
    tree.close();
  }
  return calls;
}

/** The last state of each tree, and the state after the failed step. */
function allowed(workload: Workload): Map<string, TreeModel[]> {
  const states = new Map([...workload.trees].map(([name, history]) => [name, history.states.slice(-1)]));
  const { inFlight } = workload;
  const after = inFlight?.after();
  if (inFlight !== undefined && after !== undefined) {
    states.set(inFlight.tree, [...(states.get(inFlight.tree) ?? []), after]);
  }
  return states;
}

for (const code of ['EIO', 'ENOSPC'] as const) {
  test(`${code} of any call leaves every fork in the state before or after the operation`, async () => {
    const total = await runWithFault(-1, code);
    const step = Math.max(1, Math.floor(total / FAULTS));
    for (let failing = code === 'EIO' ? 0 : Math.floor(step / 2); failing < total; failing += step) {
      await runWithFault(failing, code);
    }
  });
}
