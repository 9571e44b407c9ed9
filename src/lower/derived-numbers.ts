/**
 * Inode numbers of derived layers. They are computed from the identity of the original file, so a file has the same
 * number in every process and after every restart, with nothing stored. They lie above all numbers that the store gives
 * out and below 2^49 (see entry.ts).
 *
 * Two files of a tree whose numbers collide (48 bits: a chance of one in 56,000 among 100,000 files) get neighbouring
 * numbers, in the order in which the layer meets them.
 */
import { checksum64, type Ino } from '../base/index.ts';

export const DERIVED_INO_FIRST = 2 ** 48;
const MASK = 2n ** 48n - 1n;

export function isDerived(ino: Ino): boolean {
  return ino >= DERIVED_INO_FIRST;
}

/** The number for `identity`. `salt` makes the numbers differ from layer to layer. */
export function derivedIno(identity: Uint8Array, salt: bigint): Ino {
  return (DERIVED_INO_FIRST + Number(checksum64(identity, salt) & MASK)) as Ino; // A derived number.
}

/** The number to try next if `ino` is taken. */
export function nextDerivedIno(ino: Ino): Ino {
  return (ino + 1 < 2 * DERIVED_INO_FIRST ? ino + 1 : DERIVED_INO_FIRST) as Ino; // A derived number, too.
}
