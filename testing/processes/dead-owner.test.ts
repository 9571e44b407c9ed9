/** The owner of a fork, another process, was killed: what the next process finds that opens the fork. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { patternBytes, problemsOf, readFile, SharedStore } from '../stores/shared-store.ts';
import { Child } from './child.ts';

const FILES = 500;

async function killOwner(scratch: SharedStore): Promise<void> {
  const engine = await scratch.open();
  engine.createEmpty('one').close();
  await using owner = new Child('owner-child', scratch.directory, 'one');
  await owner.next();
  assert.equal(await owner.ask<number>({ files: FILES }), FILES);
  assert.throws(
    () => engine.openTree('one'),
    (error: Error) => error.message.includes(`process ${owner.process.pid}`),
  );
  await owner.kill();
  await engine.close();
}

test('the next opener replays what a killed owner acknowledged', async () => {
  await using scratch = new SharedStore();
  await killOwner(scratch);
  const next = await scratch.open();
  const tree = next.openTree('one');
  for (let file = 0; file < FILES; file++)
    assert.deepEqual(readFile(tree, `/f${file}`), patternBytes(100 + file, file));
  assert.deepEqual(problemsOf(next), []);
});

test('a fork, a snapshot and a diff of a killed owner’s fork see everything that was acknowledged, too', async () => {
  for (const read of ['fork', 'snapshot'] as const) {
    await using scratch = new SharedStore();
    await killOwner(scratch);
    const next = await scratch.open();
    if (read === 'fork') next.fork('one', 'two');
    else next.snapshot('one', 'two');
    const tree = next.openTreeOf('two') ?? next.openTree('two');
    assert.equal(tree.fileSystem.readDirectoryNames('/').length, FILES, read);
    assert.deepEqual(problemsOf(next), []);
  }
});

test('of two processes that open a dead owner’s fork at once one gets it, and nothing is lost', async () => {
  await using scratch = new SharedStore();
  await killOwner(scratch);
  await using first = new Child('owner-child', scratch.directory, 'one');
  await using second = new Child('owner-child', scratch.directory, 'one');
  const answers = await Promise.all([first.next<string>(), second.next<string>()]);
  assert.deepEqual([...answers].sort(), ['EBUSY', 'ready']);
  await first.kill();
  await second.kill();
  const next = await scratch.open();
  assert.equal(next.openTree('one').fileSystem.readDirectoryNames('/').length, FILES);
  assert.deepEqual(problemsOf(next), []);
});
