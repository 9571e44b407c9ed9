/** Data segments, compared with a list of units with and without data. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_SIZE } from '../base/index.ts';
import { dataSegments } from './data-segments.ts';

/** Acts as lseek(2) on a file of units of `unitBytes`, smaller than a block on some hosts: each is data or a hole. */
function seeker(units: readonly boolean[], unitBytes: number, sizeBytes: number) {
  const seek = (wanted: boolean, position: number): number | undefined => {
    if (position >= sizeBytes) return undefined;
    for (let at = position; at < sizeBytes; at = (Math.floor(at / unitBytes) + 1) * unitBytes) {
      if ((units[Math.floor(at / unitBytes)] ?? false) === wanted) return at;
    }
    return wanted ? undefined : sizeBytes;
  };
  return {
    seekData: (position: number) => seek(true, position),
    seekHole: (position: number) => seek(false, position),
  };
}

test('segments are the blocks with data, joined, whole, and inside the file', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
      fc.constantFrom(512, 1024, 4096, 16_384),
      fc.nat(),
      (units, unitBytes, cut) => {
        const sizeBytes = units.length * unitBytes - (cut % unitBytes);
        const expected = new Set<number>();
        for (let at = 0; at < sizeBytes; at += 512) {
          if (units[Math.floor(at / unitBytes)] === true) expected.add(Math.floor(at / BLOCK_SIZE));
        }
        const segments = dataSegments(seeker(units, unitBytes, sizeBytes), sizeBytes);
        const actual = new Set<number>();
        let last = -1;
        for (const { start, end } of segments) {
          assert.ok(start > last && end > start && end <= sizeBytes && start % BLOCK_SIZE === 0);
          assert.ok(end % BLOCK_SIZE === 0 || end === sizeBytes);
          for (let block = start / BLOCK_SIZE; block * BLOCK_SIZE < end; block++) actual.add(block);
          last = end;
        }
        assert.deepEqual([...actual].sort(), [...expected].sort());
      },
    ),
  );
});

test('a host without holes gives one segment, and a file that shrinks does not loop', () => {
  const all = dataSegments({ seekData: (position) => position, seekHole: () => 10_000 }, 10_000);
  assert.deepEqual(all, [{ start: 0, end: 10_000 }]);
  const shrinking = { seekData: (position: number) => position, seekHole: () => 0 };
  assert.ok(dataSegments(shrinking, 3 * BLOCK_SIZE).length >= 0);
  assert.deepEqual(dataSegments({ seekData: () => undefined, seekHole: () => undefined }, 10_000), []);
});

test('segments can be limited to a range and in number: the last one takes the rest', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }),
      fc.nat({ max: 60 }),
      fc.nat({ max: 60 }),
      fc.integer({ min: 1, max: 20 }),
      (units, from, length, segmentsMax) => {
        const calls = seeker(units, BLOCK_SIZE, units.length * BLOCK_SIZE);
        const [start, end] = [from, Math.min(units.length, from + length)].map((block) => block * BLOCK_SIZE);
        const whole = dataSegments(calls, units.length * BLOCK_SIZE)
          .map((segment) => ({ start: Math.max(start!, segment.start), end: Math.min(end!, segment.end) }))
          .filter((segment) => segment.start < segment.end);
        const first = whole.slice(0, segmentsMax);
        if (whole.length > segmentsMax) first.push({ start: first.pop()!.start, end: end! });
        assert.deepEqual(dataSegments(calls, end!, start, segmentsMax), first);
      },
    ),
  );
});
