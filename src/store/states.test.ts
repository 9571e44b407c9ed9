/** A fork that becomes another tree, forks of states, and names that change hands. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { writeText as write } from '../../testing/stores/random-changes.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { assertCleanAfterGc } from '../../testing/stores/shared-store.ts';
import { isFsError } from '../base/index.ts';
import { StoreEngine } from './engine.ts';
import { commonState, forkState, freeName, renameSnapshot, replaceTree, settleTree } from './states.ts';

function namesOf(engine: StoreEngine, name: string): string[] {
  const tree = engine.openTree(name);
  const names = tree.fileSystem.readDirectoryNames('/').sort();
  tree.close();
  return names;
}

async function storeWithHistory(context: TestContext): Promise<StoreEngine> {
  const engine = await scratchStore(context);
  const tree = engine.createEmpty('work');
  write(tree.fileSystem, '/one', '1');
  engine.snapshot('work', 'first');
  write(tree.fileSystem, '/two', '2');
  tree.close();
  return engine;
}

test('a fork takes the state of a snapshot, and its old state is kept', async (context) => {
  const engine = await storeWithHistory(context);
  const { id } = engine.info('work');
  replaceTree(engine, 'work', 'first', { keepAs: 'before' });
  assert.deepEqual(namesOf(engine, 'work'), ['one']);
  assert.deepEqual(namesOf(engine, 'before'), ['one', 'two']);
  assert.equal(engine.info('work').id, id, 'it is the same fork');
  const tree = engine.openTree('work');
  write(tree.fileSystem, '/three', '3');
  tree.close();
  replaceTree(engine, 'work', 'before', {});
  assert.deepEqual(namesOf(engine, 'work'), ['one', 'two']);
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['before', 'first', 'work'],
  );
  assertCleanAfterGc(engine);
});

test('a fork that is open is not replaced, here or elsewhere, and stays what it is', async (context) => {
  const engine = await storeWithHistory(context);
  const tree = engine.openTree('work');
  const isBusy = (error: unknown) => isFsError(error, 'EBUSY');
  assert.throws(() => replaceTree(engine, 'work', 'first', {}), isBusy);
  const other = await StoreEngine.open(engine.directory);
  assert.throws(() => replaceTree(other, 'work', 'first', {}), isBusy);
  await other.close();
  tree.close();
  assert.throws(
    () => replaceTree(engine, 'work', 'first', { keepAs: 'first' }),
    (error) => isFsError(error, 'EEXIST'),
  );
  assert.throws(
    () => replaceTree(engine, 'work', 'nothing', { keepAs: 'before' }),
    (error) => isFsError(error, 'ENOENT'),
  );
  assert.throws(
    () => replaceTree(engine, 'first', 'work', {}),
    (error) => isFsError(error, 'EROFS'),
  );
  assert.deepEqual(namesOf(engine, 'work'), ['one', 'two']);
  assertCleanAfterGc(engine);
});

test('the common state of two changed forks can be forked', async (context) => {
  const engine = await storeWithHistory(context);
  const other = engine.fork('work', 'other');
  write(other.fileSystem, '/three', '3');
  const work = engine.openTree('work');
  work.fileSystem.unlink('/one');
  const settled = (name: string) => settleTree(engine, name, new Set());
  const common = commonState(settled('work'), settled('other'));
  assert.ok(common !== undefined);
  forkState(engine, common, 'again', 'work').close();
  assert.deepEqual(namesOf(engine, 'again'), ['one', 'two']);
  engine.createEmpty('stranger').close();
  assert.equal(commonState(settled('work'), settled('stranger')), undefined);
  assertCleanAfterGc(engine);
});

test('freeName finds a name that is free; renameSnapshot removes the snapshots it replaces', async (context) => {
  const engine = await storeWithHistory(context);
  assert.equal(freeName(engine, 'second'), 'second');
  assert.equal(freeName(engine, 'first'), 'first-2');
  engine.snapshot('work', 'second');
  renameSnapshot(engine, 'first', 'third', ['second']);
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['third', 'work'],
  );
  assert.deepEqual(namesOf(engine, 'third'), ['one']);
});
