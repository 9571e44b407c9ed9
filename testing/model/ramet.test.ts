/** Random histories over forks, snapshots, clones, crashes and power cuts: the store agrees with the model. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSystem } from '../../src/sys/index.ts';
import { commandOf, type Play, play } from './play-seed.ts';

/** Without memory maps, where most calls are the same, fewer seeds are enough. */
const SEEDS = createSystem().kind === 'native' ? 24 : 8;
const OPERATIONS = 500;

// `npm run model` plays more and longer histories.
for (let seed = 1; seed <= SEEDS; seed++) {
  test(`seed ${seed}: ${OPERATIONS} operations`, async () => {
    const what: Play = { seed, count: OPERATIONS };
    const { failure, played } = await play(what);
    assert.equal(failure, undefined, `again, and made small: ${commandOf(what)}`);
    assert.equal(played, OPERATIONS);
  });
}
