/** A sample of `npm run fuzz`, from fixed seeds, and the inputs that it once failed on. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/base/index.ts';
import { swept } from '../pace/sweep.ts';
import { DECODERS } from './decoders.ts';
import { Defect, feed, fuzz, mutated, type Target } from './fuzz.ts';
import { KEPT } from './kept.ts';
import { STORE_TARGETS } from './store-targets.ts';

const DECODED = swept({ sample: 300, long: 5000, all: 200_000 });
const STORED = swept({ sample: 15, long: 300, all: 10_000 });

async function keptOf(target: Target): Promise<void> {
  for (const [name, input] of KEPT) if (name === target.name) await feed(target, Buffer.from(input, 'hex'));
}

describe('any bytes are accepted or refused', () => {
  test('by every decoder', async () => {
    for (const target of DECODERS) {
      await keptOf(target);
      for (const seed of target.seeds) await target.run(Buffer.from(seed));
      await fuzz(target, { seed: 1, inputs: DECODED });
    }
  });

  for (const [name, make] of Object.entries(STORE_TARGETS)) {
    test(`by a store: ${name}`, async () => {
      await using target = await make();
      await keptOf(target);
      await fuzz(target, { seed: 1, inputs: STORED });
    });
  }
});

describe('the fuzzer', () => {
  const broken: Target = {
    name: 'broken',
    seeds: [Buffer.from('seed')],
    isRefusal: (error) => error instanceof SyntaxError,
    run(input) {
      if (input.includes(0x80)) throw new TypeError('broken');
      throw new SyntaxError('refused');
    },
  };

  test('finds an input that breaks a decoder, and can replay it', async () => {
    await assert.rejects(fuzz(broken, { seed: 1, inputs: 1000 }), (error) => {
      assert.ok(error instanceof Defect);
      assert.ok(error.input.includes(0x80));
      return true;
    });
    await assert.rejects(feed(broken, Buffer.from([0x80])), Defect);
    await feed(broken, Buffer.from('good'));
  });

  test('makes the same inputs from one seed', () => {
    const made = (seed: number): Buffer => mutated(broken.seeds, new SeededRandom(seed));
    assert.deepEqual(made(5), made(5));
    assert.notDeepEqual([made(1), made(2), made(3)], [made(4), made(5), made(6)]);
  });
});
