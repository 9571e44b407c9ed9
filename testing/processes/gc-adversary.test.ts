/**
 * Gc never changes a byte that a living process can see, although several processes try to make it do so.
 * RAMET_GC_SECONDS=n says for how long, RAMET_PROCESSES=n how many.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_SIZE } from '../../src/base/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { problemsOf, SharedStore, writeFile } from '../stores/shared-store.ts';
import { BASE_BLOCKS, BASE_FILES, baseTag } from './adversary-base.ts';
import type { AdversaryReport } from './adversary-child.ts';
import { Child } from './child.ts';
import type { CollectingReport } from './collecting-child.ts';

const ADVERSARIES = Number(process.env.RAMET_PROCESSES ?? 4);
const COLLECTORS = 2;
const SECONDS = Number(process.env.RAMET_GC_SECONDS ?? (createSystem().kind === 'native' ? 15 : 4));

async function makeBase(scratch: SharedStore): Promise<void> {
  const engine = await scratch.open();
  const tree = engine.createEmpty('first');
  for (let file = 0; file < BASE_FILES; file++) {
    for (let block = 0; block < BASE_BLOCKS; block++) {
      const bytes = Buffer.alloc(BLOCK_SIZE);
      for (let at = 0; at < BLOCK_SIZE; at += 4) bytes.writeUInt32LE(baseTag(file, block), at);
      writeFile(tree, `/f${file}`, bytes, block * BLOCK_SIZE);
    }
  }
  engine.snapshot('first', 'base');
  await engine.close();
}

test('gc changes no byte that a living process can see', { timeout: 3_600_000 }, async () => {
  await using scratch = new SharedStore();
  await makeBase(scratch);
  const children: Child[] = [];
  const start = (program: string, ...args: readonly string[]): Child => {
    const child = new Child(program, scratch.directory, ...args);
    children.push(child);
    return child;
  };
  try {
    const seed = Number(process.env.RAMET_GC_SEED ?? 1);
    const adversaries = Array.from({ length: ADVERSARIES }, (_, at) =>
      start('adversary-child', String(seed + at), String(SECONDS)),
    );
    const collectors = Array.from({ length: COLLECTORS }, () => start('collecting-child'));
    for (const child of children) await child.next();
    const collecting = collectors.map((child) => child.ask<CollectingReport>({ isLast: false }));
    const reports = await Promise.all(adversaries.map((child) => child.ask<AdversaryReport>({})));
    for (const child of collectors) child.process.send({ isLast: true });
    const collections = await Promise.all(collecting);
    assert.deepEqual(
      reports.flatMap(({ problems }) => problems),
      [],
    );
    for (const { operations, blocksChecked } of reports) {
      assert.ok(
        operations >= 200 && blocksChecked >= 2000,
        `${operations} operations, ${blocksChecked} blocks`,
      );
    }
    const removed = collections.reduce((sum, one) => sum + one.layersRemoved + one.blobsRemoved, 0);
    assert.ok(removed > 0, 'gc had something to do');
  } finally {
    for (const child of children) await child.kill();
  }
  const engine = await scratch.open();
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  for (const { name } of engine.list()) engine.drop(name);
  const { blobsWaiting, layersWaiting } = collectGarbage(engine);
  assert.equal(blobsWaiting + layersWaiting, 0);
  assert.deepEqual(engine.blobs.list(), [], 'all space came back');
  assert.deepEqual(problemsOf(engine), []);
});
