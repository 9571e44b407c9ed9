/** The checks of the demo: they must find a single wrong byte. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BLOCK_SIZE } from '../base/index.ts';
import { Checks } from './checks.ts';
import type { ForkPlan } from './plan.ts';
import { planForks, untouchedPage } from './plan.ts';
import { median, quantile } from './quantiles.ts';
import { SeededBytes } from './seeded-bytes.ts';

const SEED = new SeededBytes('a test');

describe('checks', () => {
  const plan: ForkPlan = {
    name: 'one',
    page: 5,
    pageBytes: Buffer.alloc(BLOCK_SIZE, 7),
    written: new Map(),
    removed: undefined,
  };

  /** Eight blocks from block 2 on, as the fork must have them: block 5 overwritten. */
  function pieceOf(): { base: Buffer; actual: Buffer; position: number } {
    const position = 2 * BLOCK_SIZE;
    const base = SEED.at(position, 8 * BLOCK_SIZE);
    const actual = Buffer.from(base);
    plan.pageBytes.copy(actual, 3 * BLOCK_SIZE);
    return { base, actual, position };
  }

  it('accepts a piece that equals the base except for the overwritten block', () => {
    const { base, actual, position } = pieceOf();
    const checks = new Checks();
    checks.isPieceOf(actual, base, position, plan, 'file');
    assert.deepEqual(checks.problems, []);
    assert.equal(checks.comparisons, 3);
  });

  it('finds a single wrong byte, wherever it is, and says where', () => {
    const blocks = [0, 2, 3, 4, 7];
    for (const block of blocks) {
      for (const within of [0, BLOCK_SIZE - 1]) {
        const { base, actual, position } = pieceOf();
        const at = block * BLOCK_SIZE + within;
        actual[at] = actual[at]! ^ 1;
        const checks = new Checks();
        checks.isPieceOf(actual, base, position, plan, 'file');
        assert.deepEqual(checks.problems, [`file: differs from what it must be at byte ${position + at}`]);
      }
    }
  });

  it('finds a lost change: old bytes in the overwritten block', () => {
    const { base, position } = pieceOf();
    const checks = new Checks();
    checks.isPieceOf(base, base, position, plan, 'file');
    assert.equal(checks.problems.length, 1);
  });

  it('finds a piece that is too short', () => {
    const { base, actual, position } = pieceOf();
    const checks = new Checks();
    checks.isPieceOf(actual.subarray(0, -1), base, position, plan, 'file');
    assert.equal(checks.problems.length, 1);
    assert.match(checks.problems[0]!, /^file: differs .* at byte /);
  });

  it('keeps twenty problems and counts the others', () => {
    const checks = new Checks();
    for (let at = 0; at < 25; at++) checks.isTrue(false, () => `problem ${at}`);
    assert.equal(checks.problems.length, 20);
    assert.equal(checks.problemsLeftOut, 5);
  });
});

describe('seeded bytes', () => {
  it('are the same at any time and from any position, and differ by seed', () => {
    const whole = SEED.at(0, 64 * 1024);
    assert.deepEqual(SEED.at(16 * 1024, 4096), whole.subarray(16 * 1024, 20 * 1024));
    assert.notDeepEqual(new SeededBytes('another').at(0, 4096), whole.subarray(0, 4096));
  });

  it('continue beyond the first 4 GiB', () => {
    const far = SEED.at(2 ** 32 + 16, 64);
    assert.deepEqual(SEED.at(2 ** 32, 80).subarray(16), far);
    assert.notDeepEqual(far, SEED.at(16, 64));
  });
});

describe('plans', () => {
  const files = Array.from({ length: 50 }, (_, file) => `/file ${file}`);

  it('give every fork another page and files of its own', () => {
    const plans = planForks(16, 2048 * BLOCK_SIZE, files);
    assert.equal(new Set(plans.map((plan) => plan.page)).size, 16);
    assert.equal(new Set(plans.map((plan) => plan.pageBytes.toString('latin1'))).size, 16);
    for (const plan of plans) {
      assert.equal(plan.written.size, 4);
      assert.ok(plan.removed !== undefined && !plan.written.has(plan.removed));
      assert.ok(plan.page < 2048);
    }
    const untouched = untouchedPage(plans, 2048 * BLOCK_SIZE);
    assert.ok(untouched !== undefined && plans.every((plan) => plan.page !== untouched));
  });

  it('are the same in every run', () => {
    assert.deepEqual(planForks(3, 64 * BLOCK_SIZE, files), planForks(3, 64 * BLOCK_SIZE, files));
  });
});

describe('quantiles', () => {
  it('are samples, not values between them', () => {
    const samples = [5, 1, 4, 2, 3, 100];
    assert.equal(median(samples), 3);
    assert.equal(quantile(samples, 0.99), 100);
    assert.equal(quantile(samples, 0), 1);
    assert.equal(median([7]), 7);
    assert.throws(() => quantile([], 0.5), /needs a sample/);
  });
});
