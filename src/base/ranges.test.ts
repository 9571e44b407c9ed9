/** RangeSet, compared with a naive model: a set of whole numbers. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { AssertionError } from './assert.ts';
import { RangeSet } from './ranges.ts';

const LIMIT = 60;
const change = fc.record({ add: fc.boolean(), start: fc.nat(LIMIT), length: fc.nat(12) });

function fill(changes: readonly { add: boolean; start: number; length: number }[]): [RangeSet, Set<number>] {
  const ranges = new RangeSet();
  const model = new Set<number>();
  for (const { add, start, length } of changes) {
    if (add) ranges.add(start, start + length);
    else ranges.remove(start, start + length);
    for (let at = start; at < start + length; at++) {
      if (add) model.add(at);
      else model.delete(at);
    }
  }
  return [ranges, model];
}

test('adding and removing agree with a set of numbers', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const [ranges, model] = fill(changes);
      assert.equal(ranges.total, model.size);
      assert.equal(ranges.isEmpty, model.size === 0);
      let last = -1;
      let count = 0;
      for (const { start, end } of ranges) {
        assert.ok(start > last && end > start, 'ranges are sorted, never empty, never adjacent');
        last = end;
        count++;
        for (let at = start; at < end; at++) assert.ok(model.has(at));
      }
      assert.equal(ranges.count, count);
      for (let at = 0; at < LIMIT + 12; at++) assert.equal(ranges.has(at), model.has(at));
    }),
  );
});

test('contains, intersects and gaps agree with a set of numbers', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), fc.nat(LIMIT), fc.nat(15), (changes, start, length) => {
      const [ranges, model] = fill(changes);
      const wanted = Array.from({ length }, (_, index) => start + index);
      assert.equal(
        ranges.contains(start, start + length),
        wanted.every((at) => model.has(at)),
      );
      assert.equal(
        ranges.intersects(start, start + length),
        wanted.some((at) => model.has(at)),
      );
      const missing = ranges
        .gaps(start, start + length)
        .flatMap(({ start: from, end }) => Array.from({ length: end - from }, (_, index) => from + index));
      assert.deepEqual(
        missing,
        wanted.filter((at) => !model.has(at)),
      );
    }),
  );
});

test('a run is taken from the first range that is long enough', () => {
  const ranges = new RangeSet();
  ranges.add(0, 2);
  ranges.add(10, 15);
  ranges.add(20, 30);
  assert.equal(ranges.takeRun(4), 10);
  assert.equal(ranges.takeRun(8), 20);
  assert.equal(ranges.takeRun(8), undefined);
  assert.deepEqual(
    [...ranges],
    [
      { start: 0, end: 2 },
      { start: 14, end: 15 },
      { start: 28, end: 30 },
    ],
  );
});

test('a range that ends before it starts is refused', () => {
  assert.throws(() => new RangeSet().add(5, 4), AssertionError);
});
