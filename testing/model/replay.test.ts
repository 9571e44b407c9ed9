/** A seed gives one history with the same outcomes in every process; a history that fails is shrunk. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { BrokenActor } from './broken-actor.ts';
import { generateHistory } from './history.ts';
import { ModelFs } from './model-fs.ts';
import { describeShrunk, play, shrinkPlay } from './play-seed.ts';
import { RametActor } from './ramet-actor.ts';
import { shrink } from './shrink.ts';

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

test('in two processes one seed gives the same history and the same outcomes', async () => {
  const line = /^seed 3: 300 operations agree, digest ([0-9a-f]+)\n$/;
  const prints = async (): Promise<string> =>
    (await run(process.execPath, [MAIN, '--seed', '3', '--operations', '300'])).stdout;
  const [first, second] = [await prints(), await prints()];
  assert.match(first, line);
  assert.equal(second, first);
  const { digest } = await play({ seed: 3, count: 300 });
  assert.equal(line.exec(first)?.[1], digest);
  assert.notEqual((await play({ seed: 4, count: 300 })).digest, digest);
});

test('power cuts undo changes, of varying numbers of trees', async () => {
  const taken = new Set<number>();
  for (let seed = 1; seed <= 4; seed++) {
    const [model, store] = [new ModelFs(), await RametActor.create()];
    try {
      for (const operation of generateHistory(seed, 400, { isRooted: true, without: store.lacks })) {
        model.apply(operation);
        await store.apply(operation);
        if (operation.op !== 'powerCut') continue;
        const before = model.trees().map((tree) => model.dump(tree));
        assert.equal(
          model.adopt((tree) => store.found(tree)),
          undefined,
        );
        const lost = model.trees().filter((tree, index) => model.dump(tree).join() !== before[index]!.join());
        taken.add(lost.length);
      }
    } finally {
      await store.close();
    }
  }
  assert.ok(taken.size > 1, `trees that lost something: ${[...taken].join(', ')}`);
});

test('a planted bug is found and shrunk to a few operations, with the command that repeats them', async () => {
  const makeBroken = (): BrokenActor =>
    new BrokenActor((operation, apply) => {
      // The planted bug: unlink of a file with two names does nothing.
      if (operation.op !== 'unlink') return apply(operation);
      const isLinked = apply({
        op: 'stat',
        tree: operation.tree,
        path: operation.path,
        follow: false,
      }).includes('links=2');
      return isLinked ? 'ok' : apply(operation);
    });
  const shrunk = await shrinkPlay({ seed: 12, count: 1000 }, makeBroken);
  assert.ok(shrunk.operations.length <= 10, `${shrunk.operations.length} operations`);
  assert.ok(shrunk.operations.some(({ op }) => op === 'unlink'));
  const text = describeShrunk(shrunk);
  const only = shrunk.play.only!.join(',');
  assert.ok(text.includes(`npm run model -- --seed 12 --operations 1000 --only ${only}`), text);
  const again = await play(shrunk.play, makeBroken);
  assert.equal(again.failure, shrunk.failure);
});

test('shrinking leaves only operations that are needed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(99), { minLength: 1, maxLength: 5 }), async (needed) => {
      const items = Array.from({ length: 100 }, (_item, index) => index);
      const kept = await shrink(items, async (some) => needed.every((one) => some.includes(one)));
      assert.deepEqual(
        kept,
        [...needed].sort((a, b) => a - b),
      );
    }),
    { numRuns: 50 },
  );
});

test('wrong arguments are refused', async () => {
  for (const args of [
    ['--seed', 'x'],
    ['--seeds', '9..1'],
    ['--operations', '0'],
    ['--only', 'a'],
  ]) {
    await assert.rejects(run(process.execPath, [MAIN, ...args]), (error: Error & { stderr?: string }) =>
      /argument '.*' is invalid/.test(error.stderr ?? ''),
    );
  }
});
