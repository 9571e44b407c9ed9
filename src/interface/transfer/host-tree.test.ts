/** Questions to the host: data segments against a map of blocks, modes, and what counts as unchanged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BLOCK_SIZE, FsError } from '../../base/index.ts';
import { dataSegments, joinHost, kindOfMode, onHost, withPath, wordOfMode } from './host-tree.ts';

/**
 * lseek(2) over a file whose data is given as units of `unitBytes`; a host's units may be smaller than a
 * block.
 */
function seeker(units: readonly boolean[], unitBytes: number, sizeBytes: number) {
  const seek = (wanted: boolean, position: number): number | undefined => {
    if (position >= sizeBytes) return undefined;
    for (let at = position; at < sizeBytes; at = (Math.floor(at / unitBytes) + 1) * unitBytes) {
      if ((units[Math.floor(at / unitBytes)] ?? false) === wanted) return at;
    }
    return wanted ? undefined : sizeBytes;
  };
  return {
    data: (position: number) => seek(true, position),
    hole: (position: number) => seek(false, position),
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
        const seek = seeker(units, unitBytes, sizeBytes);
        const expected = new Set<number>();
        for (let at = 0; at < sizeBytes; at += 512) {
          if (units[Math.floor(at / unitBytes)] === true) expected.add(Math.floor(at / BLOCK_SIZE));
        }
        const segments = dataSegments(seek.data, seek.hole, sizeBytes);
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
  const all = dataSegments(
    (position) => position,
    () => 10_000,
    10_000,
  );
  assert.deepEqual(all, [{ start: 0, end: 10_000 }]);
  const shrinking = dataSegments(
    (position) => position,
    () => 0,
    3 * BLOCK_SIZE,
  );
  assert.ok(shrinking.length >= 0);
  assert.deepEqual(
    dataSegments(
      () => undefined,
      () => undefined,
      10_000,
    ),
    [],
  );
});

test('paths are joined as bytes', () => {
  assert.deepEqual(joinHost(Buffer.from('/a'), '\xff'), Buffer.from([0x2f, 0x61, 0x2f, 0xff]));
  assert.deepEqual(joinHost(Buffer.from('/'), 'x'), Buffer.from('/x'));
});

test('modes have kinds and words', () => {
  assert.deepEqual([kindOfMode(0o100644), kindOfMode(0o040755), kindOfMode(0o120777)], [8, 4, 10]);
  assert.equal(wordOfMode(0o010644), 'fifo');
  assert.equal(wordOfMode(0o060644), 'block device');
});

test('an error gets the path of the file it is about, unless it has one', () => {
  const bare = new FsError('EIO', { syscall: 'pread' });
  const named = withPath(bare, 'read', Buffer.from('/x'));
  assert.ok(named instanceof FsError);
  assert.deepEqual([named.code, named.syscall, named.path], ['EIO', 'pread', '/x']);
  assert.equal(withPath(named, 'read', Buffer.from('/y')), named);
  const other = new Error('other');
  assert.throws(
    () =>
      onHost('read', Buffer.from('/x'), () => {
        throw other;
      }),
    other,
  );
});
