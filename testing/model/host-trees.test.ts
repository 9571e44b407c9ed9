/**
 * Random histories over forks that stand on directories of the host agree with the model and leave the directories
 * unchanged. RAMET_MODEL_SEEDS=1..200 plays more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativeOnly } from '../host/native-only.ts';
import { HostTreeActor } from './host-tree-actor.ts';
import { describeShrunk, type Play, play, shrinkPlay } from './play-seed.ts';

const OPERATIONS = 500;
const [FIRST, LAST] = (process.env.RAMET_MODEL_SEEDS ?? '1..10').split('..').map(Number) as [number, number];

for (let seed = FIRST; seed <= LAST; seed++) {
  test(`seed ${seed}: ${OPERATIONS} operations`, { skip: nativeOnly }, async () => {
    const what: Play = { seed, count: OPERATIONS };
    const make = () => HostTreeActor.over(seed % 3 === 0);
    const { failure, played } = await play(what, make);
    if (failure !== undefined && process.env.RAMET_MODEL_SHRINK === '1') {
      assert.fail(describeShrunk(await shrinkPlay(what, make)));
    }
    assert.equal(failure, undefined);
    assert.equal(played, OPERATIONS);
  });
}
