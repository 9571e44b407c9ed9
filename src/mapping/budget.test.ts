/** The budget of mappings: its count, its shares, and that it never goes below zero. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { AssertionError } from '../base/index.ts';
import { MapBudget, processMapBudget } from './budget.ts';

test('the share of a view is half of what the other views leave', () => {
  const budget = new MapBudget(1000);
  assert.equal(budget.shareOf(0), 500);
  budget.replace(0, 400);
  assert.equal(budget.shareOf(400), 500, 'the first view keeps its share');
  assert.equal(budget.shareOf(0), 300, 'the second gets half of the rest');
  assert.ok(budget.fits(600) && !budget.fits(601));
  budget.replace(400, 0);
  assert.equal(budget.usedCount, 0);
  assert.throws(() => budget.replace(1, 0), AssertionError);
});

test('the process has one budget, half of what the kernel allows', () => {
  const first = processMapBudget(() => 65_530);
  assert.equal(first.limit, 32_765);
  assert.equal(
    processMapBudget(() => 10),
    first,
  );
});
