/**
 * The longest pieces of work that one process does on the tables keep other processes waiting for no more than 20 ms.
 * The tests assert the processor time of each transaction, which does not depend on the load of the machine, and print
 * how long another process really waited.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { StoreEngine, Tree } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { SharedStore, writeFile } from '../stores/shared-store.ts';
import { Child } from './child.ts';
import type { WaitAnswer } from './waiting-child.ts';

/** Of all threads, with compiler and garbage collector. As one transaction, the work of each test takes 100 ms. */
const HOLD_MS_MAX = 45;
/** For slow machines: a share of the time of all transactions. A single long transaction would be nearly all of it. */
const HOLD_SHARE_MAX = 0.4;
/** As many names as fit in a journal. */
const NAMES = 40_000;

function makeNames(tree: Tree, directory: string): void {
  tree.fileSystem.makeDirectory(directory, 0o755);
  writeFile(tree, `${directory}/first`, Buffer.from('x'));
  for (let number = 1; number < NAMES; number++)
    tree.fileSystem.link(`${directory}/first`, `${directory}/${number}`, true);
}

/** Runs `work` on `engine` while another process makes tiny transactions all the time. */
async function assertHoldsAreShort(
  context: TestContext,
  scratch: SharedStore,
  engine: StoreEngine,
  work: () => void,
): Promise<void> {
  await using child = new Child('waiting-child', scratch.directory);
  await child.next();
  await child.ask<WaitAnswer>({});
  const { tables } = engine;
  const transaction = tables.transaction.bind(tables);
  let longestMs = 0;
  let allMs = 0;
  tables.transaction = <T>(change: () => T): T => {
    if (tables.isInTransaction) return transaction(change);
    const before = process.cpuUsage();
    try {
      return transaction(change);
    } finally {
      const { user, system } = process.cpuUsage(before);
      longestMs = Math.max(longestMs, (user + system) / 1000);
      allMs += (user + system) / 1000;
    }
  };
  work();
  const waits = await child.ask<WaitAnswer>({});
  const others = `another process made ${waits.count} meanwhile and waited ${waits.longestMs.toFixed(1)} ms at most`;
  const text = `longest transaction ${longestMs.toFixed(1)} of ${allMs.toFixed(1)} ms; ${others}`;
  context.diagnostic(text);
  assert.ok(longestMs > 0 && longestMs <= Math.max(HOLD_MS_MAX, HOLD_SHARE_MAX * allMs), text);
  assert.ok(waits.count > 1, text);
}

test('a checkpoint of a directory with 40,000 new names', async (context) => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  tree.onCheckpointDue = () => undefined;
  makeNames(tree, '/d');
  await assertHoldsAreShort(context, scratch, engine, () => tree.checkpoint());
});

test('recovery of a journal with 40,000 records', async (context) => {
  await using scratch = new SharedStore();
  const dying = await scratch.openFaulty();
  const tree = dying.engine.createEmpty('one');
  tree.onCheckpointDue = () => undefined;
  makeNames(tree, '/d');
  await scratch.crash(dying.engine, dying.system);
  const engine = await scratch.open();
  await assertHoldsAreShort(context, scratch, engine, () => {
    assert.equal(engine.openTree('one').fileSystem.readDirectoryNames('/d').length, NAMES);
  });
});

test('gc of layers with 40,000 names', async (context) => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const tree = engine.createEmpty('one');
  makeNames(tree, '/d');
  tree.close();
  engine.drop('one');
  await assertHoldsAreShort(context, scratch, engine, () =>
    assert.equal(collectGarbage(engine).layersRemoved, 1),
  );
});
