/** A seed determines its history; the model agrees with the host; a run notices wrong outcomes and trees. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokenActor } from './broken-actor.ts';
import { generateHistory } from './history.ts';
import { HostActor } from './host-actor.ts';
import { ModelFs } from './model-fs.ts';
import type { OperationName } from './operation.ts';
import { Disagreement, runHistory } from './run-history.ts';

const everything = { isRooted: true, without: new Set<OperationName>() };

test('one seed gives one history, another seed another', () => {
  const first = generateHistory(7, 300, everything);
  assert.deepEqual(generateHistory(7, 300, everything), first);
  assert.deepEqual(generateHistory(7, 100, everything), first.slice(0, 100));
  assert.notDeepEqual(generateHistory(8, 300, everything), first);
});

test('histories contain every operation, and most operations succeed', () => {
  const counts = new Map<OperationName, number>();
  let succeeded = 0;
  let total = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const model = new ModelFs();
    for (const operation of generateHistory(seed, 400, everything)) {
      if (model.apply(operation).startsWith('ok')) {
        succeeded++;
        counts.set(operation.op, (counts.get(operation.op) ?? 0) + 1);
      }
      total++;
    }
  }
  assert.equal(counts.size, 47, `succeeded at least once: ${[...counts.keys()].sort().join(' ')}`);
  assert.ok(succeeded > total / 2, `${succeeded} of ${total}`);
});

test('histories leave out given operations, and without a root of their own their paths do not use ..', () => {
  const operations = generateHistory(3, 500, {
    isRooted: false,
    without: new Set<OperationName>(['rename']),
  });
  for (const operation of operations) {
    assert.notEqual(operation.op, 'rename');
    if ('path' in operation) assert.ok(!operation.path.includes('..'), operation.path);
    if (operation.op === 'symlink') assert.ok(!/^\/|\.\./.test(operation.target), operation.target);
  }
});

const isRoot = process.geteuid?.() === 0;

test('the model agrees with the host', { skip: isRoot ? false : 'chown and modes need root' }, async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const [model, host] = [new ModelFs(), new HostActor()];
    try {
      await runHistory(seed, 300, model, host, { isRooted: false, compareEvery: 20 });
    } finally {
      host.close();
    }
  }
});

const options = { isRooted: true, compareEvery: 10 };

test('a wrong outcome is reported with its seed and operation', async () => {
  const broken = new BrokenActor((operation, apply) => (operation.op === 'mkdir' ? 'EIO' : apply(operation)));
  const history = generateHistory(5, 200, everything);
  const expected = history.findIndex((operation) => operation.op === 'mkdir');
  await assert.rejects(runHistory(5, 200, new ModelFs(), broken, options), (error: unknown) => {
    assert.ok(error instanceof Disagreement);
    assert.deepEqual([error.seed, error.index], [5, expected]);
    assert.match(error.message, /broken: EIO/);
    return true;
  });
});

test('a wrong tree is reported, and so is an exception', async () => {
  const hidden = new BrokenActor(
    (operation, apply) => apply(operation),
    (dump) => dump.slice(0, -1),
  );
  await assert.rejects(runHistory(1, 20, new ModelFs(), hidden, options), /no more names/);
  const thrower = new BrokenActor(() => {
    throw new Error('internal invariant broken');
  });
  await assert.rejects(
    runHistory(1, 20, new ModelFs(), thrower, options),
    /operation 0.*threw Error: internal/s,
  );
});
