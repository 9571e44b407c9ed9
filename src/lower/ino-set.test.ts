/** InoSet, compared with Set. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Ino } from '../base/index.ts';
import { InoSet } from './ino-set.ts';

describe('set of inode numbers', () => {
  it('holds the numbers that were put in, like a Set', () => {
    const numbers = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.maxSafeInteger().map(Math.abs));
    fc.assert(
      fc.property(fc.array(numbers), fc.array(numbers), (added, asked) => {
        // The cast: each of these can be an inode number.
        const inos = added as Ino[];
        const model = new Set(inos);
        const set = new InoSet(inos);
        assert.equal(set.size, model.size);
        assert.deepEqual(new Set(set), model);
        for (const ino of [...inos, ...(asked as Ino[])]) assert.equal(set.has(ino), model.has(ino));
      }),
    );
  });
});
