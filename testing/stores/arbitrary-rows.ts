/** Arbitrary values of rows of a store, for property tests. */
import fc from 'fast-check';
import { type Ino, isFileName, type LayerId, S_IFLNK } from '../../src/base/index.ts';
import type { InodeRecord } from '../../src/meta/index.ts';

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const nanoseconds = fc.nat(999_999_999);
const seconds = fc.maxSafeInteger();
// The cast: numbers below 2^49 are those of inodes.
const ino = fc.maxSafeNat().map((value) => (value % 2 ** 49) as Ino);

export const layerNumbers = fc.maxSafeNat().map((value) => (1 + (value % (2 ** 48 - 1))) as LayerId);
export const inoNumbers = ino.map((value) => Math.max(1, value) as Ino); // As above.

function bytes(maxLength: number, minLength = 0): fc.Arbitrary<string> {
  return fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array).toString('latin1'));
}

export const fileNames = bytes(60, 1).filter(isFileName);

/** Tombstones, and files of every type; symlinks with a target. */
export const inodeRecords: fc.Arbitrary<InodeRecord> = fc
  .record<InodeRecord>(
    {
      mode: fc
        .tuple(fc.constantFrom(1, 2, 4, 6, 8, 10, 12), fc.nat(0o7777))
        .map(([type, permissions]) => type * 2 ** 12 + permissions),
      uid: u32,
      gid: u32,
      nlink: u32,
      size: fc.maxSafeNat(),
      rdev: fc.maxSafeNat(),
      extentLayer: fc.maxSafeNat().map((value) => value as LayerId),
      xattrLayer: fc.maxSafeNat().map((value) => value as LayerId),
      blocks: fc.maxSafeNat().map((value) => value % 2 ** 41),
      atimeSeconds: seconds,
      atimeNanoseconds: nanoseconds,
      mtimeSeconds: seconds,
      mtimeNanoseconds: nanoseconds,
      ctimeSeconds: seconds,
      ctimeNanoseconds: nanoseconds,
      birthSeconds: seconds,
      birthNanoseconds: nanoseconds,
      parent: ino,
      target: bytes(4000, 1).map((target) => target.replaceAll('\0', '/')),
    },
    { noNullPrototype: true },
  )
  .map((record) => ({
    ...record,
    target: record.mode >= S_IFLNK && record.mode < S_IFLNK + 2 ** 12 ? record.target : '',
  }));
