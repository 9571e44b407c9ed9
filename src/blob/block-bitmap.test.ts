/** The bitmap of touched blocks, compared with a set of numbers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockBitmap } from './block-bitmap.ts';

describe('BlockBitmap', () => {
  it('agrees with a set of numbers', () => {
    const range = fc.tuple(fc.nat(100), fc.nat(40));
    const change = fc.record({ isSet: fc.boolean(), range });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), range, (changes, [from, span]) => {
        const bitmap = new BlockBitmap();
        bitmap.grow(10);
        bitmap.grow(140);
        const model = new Set<number>();
        for (const { isSet, range } of changes) {
          const [start, length] = range;
          if (isSet) bitmap.setRange(start, start + length);
          else bitmap.clearRange(start, start + length);
          for (let block = start; block < start + length; block++) {
            if (isSet) model.add(block);
            else model.delete(block);
          }
        }
        for (let block = 0; block < 140; block++) assert.equal(bitmap.has(block), model.has(block));
        const to = from + span;
        let clear = from;
        while (clear < to && model.has(clear)) clear++;
        let set = from;
        while (set < to && !model.has(set)) set++;
        assert.equal(bitmap.nextClear(from, to), clear);
        assert.equal(bitmap.nextSet(from, to), set);
      }),
    );
  });

  it('keeps bits when it grows, and has and takes none beyond its capacity', () => {
    const bitmap = new BlockBitmap();
    assert.equal(bitmap.has(0), false);
    bitmap.grow(8);
    bitmap.setRange(3, 8);
    bitmap.grow(1000);
    assert.ok(bitmap.has(7) && !bitmap.has(8) && !bitmap.has(5000));
    bitmap.clearRange(7, 1e6);
    assert.equal(bitmap.nextClear(3, 20), 7);
    assert.throws(() => bitmap.setRange(0, 1e6), /has room/);
  });
});
