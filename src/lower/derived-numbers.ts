/**
 * Inode numbers of derived layers: made from what identifies the file where it really is, so that one file has one
 * number in every process and after every restart, with nothing stored. They lie above all numbers that the store gives
 * out and below 2^49 (see entry.ts).
 *
 * Two files of one tree whose numbers collide (48 bits: a chance of one in 10^5 among 100,000 files) get neighbouring
 * numbers, in the order in which they were met.
 */
import { checksum64, type Ino } from '../base/index.ts';

export const DERIVED_INO_FIRST = 2 ** 48;
const MASK = 2n ** 48n - 1n;

/** Whether the number was made by a derived layer. */
export function isDerived(ino: Ino): boolean {
  return ino >= DERIVED_INO_FIRST;
}

/** The number that `identity` stands for. `salt` keeps the numbers of different layers apart. */
export function derivedIno(identity: Uint8Array, salt: bigint): Ino {
  return (DERIVED_INO_FIRST + Number(checksum64(identity, salt) & MASK)) as Ino; // A number of its own kind.
}

/** The number to try when one is taken. */
export function nextDerivedIno(ino: Ino): Ino {
  return (ino + 1 < 2 * DERIVED_INO_FIRST ? ino + 1 : DERIVED_INO_FIRST) as Ino; // As above.
}
