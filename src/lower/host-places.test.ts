/** Inode numbers of host files: each file keeps its own, also in the next process and where two collide. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fileNames } from '../../testing/stores/arbitrary-rows.ts';
import { ByteWriter, type HostIno, type Ino, type Name } from '../base/index.ts';
import type { HostSource } from '../meta/index.ts';
import type { HostStat } from '../sys/index.ts';
import { DERIVED_INO_FIRST, derivedIno, isDerived, nextDerivedIno } from './derived-numbers.ts';
import { HostPlaces, type KnownPlaces } from './host-places.ts';

const birth = { seconds: 5, nanoseconds: 6 };
const fileSystem = { fileSystemUuid: undefined, subvolume: undefined };
const source: HostSource = { path: '/repo', ino: 1, birth, ...fileSystem, isPinned: false };
/** Known places of which only origins are stored; no file is where its origin says. */
const storedOnly = (stored: KnownPlaces['stored']): KnownPlaces => ({ stored, isThere: () => false });

function statOf(ino: HostIno, more: Partial<HostStat> = {}): HostStat {
  const time = { seconds: 0, nanoseconds: 0 };
  const times = { atime: time, mtime: time, ctime: time, btime: birth };
  const rest = { dev: 1, mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0, size: 0, blocks: 0 };
  return { ...rest, ...times, isMountPoint: false, ino, ...more } as HostStat;
}

const name = (text: string): Name => text as Name;

test('numbers lie in a range of their own, wrap at its end, and differ with the salt', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.bigInt(0n, 2n ** 64n - 1n), (identity, salt) => {
      const ino = derivedIno(identity, salt);
      assert.ok(isDerived(ino) && ino < 2 * DERIVED_INO_FIRST);
      assert.equal(derivedIno(identity, salt), ino);
      assert.ok(isDerived(nextDerivedIno(ino)) && nextDerivedIno(ino) !== ino);
    }),
  );
  assert.equal(nextDerivedIno((2 * DERIVED_INO_FIRST - 1) as Ino), DERIVED_INO_FIRST);
  assert.ok(!isDerived((DERIVED_INO_FIRST - 1) as Ino));
  assert.notEqual(derivedIno(Buffer.from('x'), 1n), derivedIno(Buffer.from('x'), 2n));
});

test('a file has one number under whatever name it is met, until its origin is recorded', () => {
  const places = new HostPlaces(source);
  const first = places.meet(statOf(10), 0, places.root, name('a'));
  assert.equal(places.meet(statOf(10), 0, places.root, name('b')), first);
  assert.equal(places.get(first)!.path, 'b');
  assert.notEqual(
    places.meet(statOf(10, { btime: { seconds: 5, nanoseconds: 7 } }), 0, places.root, name('c')),
    first,
  );
  assert.notEqual(places.meet(statOf(10), 3, places.root, name('d')), first, 'another device');
  places.encode(places.get(first)!, undefined);
  const moved = places.meet(statOf(10), 0, places.root, name('e'));
  assert.notEqual(moved, first);
  assert.equal(places.meet(statOf(10), 0, places.root, name('b')), first);
  assert.equal(places.meet(statOf(10), 0, places.root, name('e')), moved);
});

test('a file moved into a directory counts as another file, even if its old name resembles its new path', () => {
  const places = new HostPlaces(source);
  const directory = places.meet(statOf(20, { mode: 0o40755 }), 0, places.root, name('a'));
  const first = places.meet(statOf(10), 0, places.root, name('axb'));
  places.encode(places.get(first)!, undefined);
  assert.notEqual(places.meet(statOf(10), 0, directory, name('b')), first);
});

test('a file with several names keeps its number under each of them', () => {
  const places = new HostPlaces(source);
  const first = places.meet(statOf(10, { nlink: 2 }), 0, places.root, name('a'));
  places.encode(places.get(first)!, undefined);
  assert.equal(places.meet(statOf(10, { nlink: 2 }), 0, places.root, name('b')), first);
  assert.equal(places.meet(statOf(10), 0, places.root, name('b')), first, 'also when one of them is gone');
});

test('numbers that collide are neighbours, and stay apart in the next process', () => {
  const places = new HostPlaces(source);
  const own = places.meet(statOf(10), 0, places.root, name('own'));
  const origin = places.encode(places.get(own)!, undefined);
  // Another file's origin is stored under the number that `own` would get.
  const taken = new Map<Ino, Uint8Array>();
  const other = new HostPlaces(
    source,
    storedOnly((ino) => taken.get(ino)),
  );
  const stranger = new HostPlaces(source);
  taken.set(
    own,
    stranger.encode(stranger.get(stranger.meet(statOf(11), 0, stranger.root, name('stranger')))!, undefined),
  );
  const next = other.meet(statOf(10), 0, other.root, name('own'));
  assert.equal(next, nextDerivedIno(own));
  assert.equal(other.get(own)!.path, 'stranger');
  taken.set(next, origin);
  const again = new HostPlaces(
    source,
    storedOnly((ino) => taken.get(ino)),
  );
  assert.equal(again.meet(statOf(10), 0, again.root, name('own')), next);
});

test('an origin finds the file again; a damaged one is refused', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.nat(), fc.bigInt(2n ** 53n, 2n ** 64n - 1n)),
      fc.nat(2 ** 31),
      fileNames,
      fc.boolean(),
      (ino, dev, path, isOne) => {
        const places = new HostPlaces(source);
        const stat = statOf(ino, { nlink: isOne ? 1 : 2 });
        const number = places.meet(stat, dev, places.root, path);
        const origin = places.encode(places.get(number)!, undefined);
        const other = new HostPlaces(source);
        // The directory and the device of a file become known only when the file is met again.
        const { parent: _above, device: _none, ...found } = other.learn(number, origin);
        const { parent: _before, device: _one, ...known } = places.get(number)!;
        assert.deepEqual(found, known);
        assert.throws(() => new HostPlaces(source).learn(number, origin.subarray(0, -1)), { code: 'EIO' });
        const longer = Buffer.concat([origin, Buffer.from([0])]);
        assert.throws(() => new HostPlaces(source).learn(number, longer), { code: 'EIO' });
      },
    ),
    { numRuns: 50 },
  );
  assert.throws(() => new HostPlaces(source).learn(1 as Ino, new ByteWriter(8).varint(3).take()), {
    code: 'EIO',
  });
});
