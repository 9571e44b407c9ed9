/** The budget of the kernel's pages, compared with a model that keeps plain lists. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Ino } from '../base/index.ts';
import { type Evicted, KernelPages } from './kernel-pages.ts';

const MIB = 1024 * 1024;
const LIMITS = { largeBytesMax: 16 * MIB, smallBytesMax: 64 * 1024 };

interface Mount {
  readonly name: string;
}

const MOUNTS: readonly Mount[] = [{ name: 'one' }, { name: 'two' }];
/** Sizes of the files of each mount, by inode: small ones, and large ones. */
const SIZES = [1, 4096, 5000, 40_000, MIB - 1, MIB, 3 * MIB + 5, 64 * MIB];

interface Held {
  readonly key: string;
  bytes: number;
}

/** The naive model: the pieces that are held, the oldest first, in lists that it searches linearly. */
class Model {
  readonly large: Held[] = [];
  readonly small: Held[] = [];

  note(mount: Mount, ino: number, position: number, length: number): string[] {
    const size = SIZES[ino]!;
    if (size < MIB) {
      const bytes = Math.ceil(size / 4096) * 4096;
      return this.use(this.small, LIMITS.smallBytesMax, `${mount.name}/${ino}/all`, bytes);
    }
    const evicted: string[] = [];
    for (let piece = Math.floor(position / MIB); piece * MIB < position + length; piece++)
      evicted.push(...this.use(this.large, LIMITS.largeBytesMax, `${mount.name}/${ino}/${piece}`, MIB));
    return evicted;
  }

  private use(list: Held[], max: number, key: string, bytes: number): string[] {
    const at = list.findIndex((one) => one.key === key);
    if (at >= 0) list.splice(at, 1);
    list.push({ key, bytes });
    const evicted: string[] = [];
    if (sum(list) <= max) return evicted;
    while (list.length > 0 && sum(list) > max - max / 8) evicted.push(list.shift()!.key);
    return evicted;
  }

  forget(prefix: string): void {
    for (const list of [this.large, this.small])
      for (let at = list.length - 1; at >= 0; at--) if (list[at]!.key.startsWith(prefix)) list.splice(at, 1);
  }
}

function sum(list: readonly Held[]): number {
  return list.reduce((bytes, one) => bytes + one.bytes, 0);
}

/** The pieces of an evicted range, named as in the model. */
function piecesOf({ owner, ino, position, length }: Evicted<Mount>): string[] {
  if (length === 0) return [`${owner.name}/${ino}/all`];
  return Array.from({ length: length / MIB }, (_, index) => `${owner.name}/${ino}/${position / MIB + index}`);
}

const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('note' as const),
      mount: fc.nat(1),
      ino: fc.nat(SIZES.length - 1),
      at: fc.nat(1000),
      length: fc.integer({ min: 1, max: 3 * MIB }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('forget' as const),
      mount: fc.nat(1),
      ino: fc.nat(SIZES.length - 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forgetAll' as const), mount: fc.nat(1) }) },
);

describe('the budget of kernel pages', () => {
  it('evicts what a naive model evicts, and never exceeds its limits', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const evicted: string[] = [];
        const pages = new KernelPages<Mount>(LIMITS, (ranges) => evicted.push(...ranges.flatMap(piecesOf)));
        const model = new Model();
        for (const one of steps) {
          const mount = MOUNTS[one.mount]!;
          evicted.length = 0;
          if (one.kind === 'note') {
            const position = Math.floor((SIZES[one.ino]! * one.at) / 1001);
            pages.note(mount, one.ino as Ino, SIZES[one.ino]!, position, one.length);
            assert.deepEqual(evicted, model.note(mount, one.ino, position, one.length));
          } else if (one.kind === 'forget') {
            pages.forget(mount, one.ino as Ino);
            model.forget(`${mount.name}/${one.ino}/`);
          } else {
            pages.forgetAll(mount);
            model.forget(`${mount.name}/`);
          }
          assert.deepEqual(pages.held, { largeBytes: sum(model.large), smallBytes: sum(model.small) });
          assert.ok(pages.held.largeBytes <= LIMITS.largeBytesMax);
          assert.ok(pages.held.smallBytes <= LIMITS.smallBytesMax);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('evicts neighbouring pieces as one range', () => {
    const evicted: Evicted<Mount>[] = [];
    const pages = new KernelPages<Mount>(LIMITS, (ranges) => evicted.push(...ranges));
    for (let piece = 0; piece < 17; piece++) pages.note(MOUNTS[0]!, 7 as Ino, 64 * MIB, piece * MIB, 100);
    assert.deepEqual(evicted, [{ owner: MOUNTS[0], ino: 7, position: 0, length: 3 * MIB }]);
    assert.equal(pages.held.largeBytes, 14 * MIB);
  });

  it('does not put pieces of different files or mounts into one range', () => {
    const evicted: Evicted<Mount>[] = [];
    const pages = new KernelPages<Mount>(LIMITS, (ranges) => evicted.push(...ranges));
    pages.note(MOUNTS[0]!, 7 as Ino, 64 * MIB, 0, 100);
    pages.note(MOUNTS[1]!, 7 as Ino, 64 * MIB, MIB, 100);
    pages.note(MOUNTS[1]!, 6 as Ino, 64 * MIB, 2 * MIB, 100);
    pages.note(MOUNTS[0]!, 7 as Ino, 64 * MIB, 10 * MIB, 14 * MIB);
    assert.deepEqual(
      evicted.map(({ owner, ino, position, length }) => [owner.name, ino, position, length]),
      [
        ['one', 7, 0, MIB],
        ['two', 7, MIB, MIB],
        ['two', 6, 2 * MIB, MIB],
      ],
    );
  });

  it('counts the new size of a file that has grown, and nothing for no bytes', () => {
    const pages = new KernelPages<Mount>(LIMITS, () => assert.fail('nothing is evicted'));
    pages.note(MOUNTS[0]!, 1 as Ino, 4096, 0, 4096);
    pages.note(MOUNTS[0]!, 1 as Ino, 9000, 0, 4096);
    pages.note(MOUNTS[0]!, 1 as Ino, 9000, 9000, 0);
    assert.equal(pages.held.smallBytes, 12_288);
    // From here on the file is counted in pieces; the pages that the kernel has of it lie in the first piece.
    pages.note(MOUNTS[0]!, 1 as Ino, MIB, 0, 4096);
    assert.deepEqual(pages.held, { smallBytes: 0, largeBytes: MIB });
    pages.forget(MOUNTS[0]!, 1 as Ino);
    assert.deepEqual(pages.held, { smallBytes: 0, largeBytes: 0 });
    pages.note(MOUNTS[0]!, 2 as Ino, 4096, 0, 4096);
    pages.note(MOUNTS[0]!, 2 as Ino, 4 * MIB, 3 * MIB, 4096);
    assert.deepEqual(
      pages.held,
      { smallBytes: 0, largeBytes: 2 * MIB },
      'the first piece, and the one written',
    );
  });
});
