/** A replay sees the effects that were journalled; damaged payloads are refused. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fileNames, inodeRecords, inoNumbers } from '../../testing/stores/arbitrary-rows.ts';
import { type BlobId, type BlockIndex, ByteWriter, DecodeError, type Ino, type Name } from '../base/index.ts';
import {
  decodeEffects,
  encodeInodeEffect,
  encodeName,
  encodeOrigin,
  encodeRuns,
  encodeXattrs,
} from './effect-format.ts';

const nat = fc.maxSafeNat();
const run = fc.record(
  {
    logical: fc.nat().map((value) => value as BlockIndex),
    count: fc.integer({ min: 1 }),
    blob: nat.map((value) => value as BlobId),
    physical: fc.nat().map((value) => value as BlockIndex),
  },
  { noNullPrototype: true },
);
const effect = fc.oneof(
  fc.record({ kind: fc.constant('runs' as const), ino: inoNumbers, runs: fc.array(run, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('inode' as const), ino: inoNumbers, record: inodeRecords }),
  fc.record({
    kind: fc.constant('name' as const),
    ino: inoNumbers,
    name: fileNames,
    target: inoNumbers,
    type: fc.constantFrom(1, 2, 4, 6, 8, 10, 12),
  }),
  fc.record({
    kind: fc.constant('origin' as const),
    ino: inoNumbers,
    origin: fc.uint8Array({ maxLength: 20 }),
  }),
  fc.record({
    kind: fc.constant('xattrs' as const),
    ino: inoNumbers,
    xattrs: fc.array(fc.tuple(fileNames, fc.uint8Array({ maxLength: 20 })), { maxLength: 3 }),
  }),
);
type Effect = typeof effect extends fc.Arbitrary<infer T> ? T : never;

function encode(effects: readonly Effect[]): Buffer {
  const writer = new ByteWriter(8);
  for (const one of effects) {
    const ino = one.ino as Ino;
    if (one.kind === 'runs') encodeRuns(writer, ino, one.runs);
    else if (one.kind === 'inode') encodeInodeEffect(writer, ino, one.record);
    else if (one.kind === 'name') encodeName(writer, ino, one.name as Name, one.target, one.type);
    else if (one.kind === 'origin') encodeOrigin(writer, ino, one.origin);
    else encodeXattrs(writer, ino, new Map(one.xattrs));
  }
  return writer.take();
}

function decode(payload: Buffer): unknown[] {
  const seen: unknown[] = [];
  decodeEffects(payload, {
    runs: (ino, runs) => seen.push(['runs', ino, runs]),
    inode: (ino, found) => seen.push(['inode', ino, found]),
    name: (ino, name, target, type) => seen.push(['name', ino, name, target, type]),
    xattrs: (ino, xattrs) => seen.push(['xattrs', ino, [...xattrs]]),
    origin: (ino, origin) => seen.push(['origin', ino, Buffer.from(origin)]),
    external: (blob, external) => seen.push(['external', blob, external]),
  });
  return seen;
}

test('effects come back in order and whole', () => {
  fc.assert(
    fc.property(fc.array(effect, { maxLength: 6 }), (effects) => {
      const expected = effects.map((one) => {
        if (one.kind === 'runs') return ['runs', one.ino, one.runs];
        if (one.kind === 'inode') return ['inode', one.ino, one.record];
        if (one.kind === 'origin') return ['origin', one.ino, Buffer.from(one.origin)];
        if (one.kind === 'name') return ['name', one.ino, one.name, one.target, one.type];
        return [
          'xattrs',
          one.ino,
          [...new Map(one.xattrs.map(([name, value]) => [name, Buffer.from(value)]))],
        ];
      });
      assert.deepEqual(decode(encode(effects)), expected);
    }),
  );
});

test('a payload that ends early, or begins with an unknown effect, is refused', () => {
  const whole = encode([{ kind: 'name', ino: 1 as Ino, name: 'name' as Name, target: 2 as Ino, type: 8 }]);
  for (let length = 1; length < whole.length; length++) {
    assert.throws(() => decode(whole.subarray(0, length)), DecodeError);
  }
  assert.throws(() => decode(Buffer.from([99, 1])), DecodeError);
});
