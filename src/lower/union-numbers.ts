/**
 * Inode numbers of a union. Each stands for one inode of one component. If the store gave out the inode's number in the
 * component, the union packs that number together with the component, which needs no memory. If the number is of a
 * derived layer, the union hashes both and remembers the result here; the table of origins has it too, once a layer
 * above records something about the inode.
 *
 *     2^48 +                component · 2^38 + number     for numbers below 2^38
 *     2^48 + 2^47 + 47 bits of a checksum over both       for others; the next free number if that one is taken
 */
import { checksum64, type Ino } from '../base/index.ts';
import { DERIVED_INO_FIRST } from './derived-numbers.ts';
import { decodeUnionOrigin, type UnionPart } from './origin-format.ts';

/** Largest number of components of a union. Overlayfs of Linux has the same limit for lower layers. */
export const COMPONENTS_MAX = 500;
const NUMBERS = 2 ** 38;
const HALF = 2 ** 47;
const HASHED_FIRST = DERIVED_INO_FIRST + HALF;

/** The number of a union's root, given the number of its uppermost component's root. */
export function rootOfUnion(root: Ino): Ino {
  return new UnionNumbers(() => undefined).numberOf(0, root);
}

export class UnionNumbers {
  /** Returns the stored origin of a hashed number; undefined if there is none. */
  private readonly stored: (ino: Ino) => Uint8Array | undefined;
  /** Known inodes by their hashed numbers. */
  private readonly parts = new Map<Ino, UnionPart>();
  /** Known hashed numbers by component and inode. */
  private readonly hashed = new Map<number, Map<Ino, Ino>>();
  private readonly bytes = Buffer.alloc(16);

  constructor(stored: (ino: Ino) => Uint8Array | undefined) {
    this.stored = stored;
  }

  numberOf(component: number, ino: Ino): Ino {
    if (ino < NUMBERS) return (DERIVED_INO_FIRST + component * NUMBERS + ino) as Ino; // A derived number.
    return this.hashed.get(component)?.get(ino) ?? this.hash(component, ino);
  }

  private hash(component: number, ino: Ino): Ino {
    this.bytes.writeDoubleLE(component, 0);
    this.bytes.writeDoubleLE(ino, 8);
    let rest = Number(checksum64(this.bytes) & BigInt(HALF - 1));
    for (; ; rest = (rest + 1) % HALF) {
      const number = (HASHED_FIRST + rest) as Ino; // A derived number.
      const known = this.partOf(number);
      if (known === undefined) this.keep(number, { component, ino });
      else if (known.component !== component || known.ino !== ino) continue;
      return number;
    }
  }

  private keep(number: Ino, part: UnionPart): void {
    this.parts.set(number, part);
    const inos = this.hashed.get(part.component) ?? new Map<Ino, Ino>();
    this.hashed.set(part.component, inos.set(part.ino, number));
  }

  /**
   * The inode that a number stands for. Undefined for a number outside the range of unions, and for a hashed number
   * that is neither remembered nor stored.
   */
  partOf(number: Ino): UnionPart | undefined {
    const rest = number - DERIVED_INO_FIRST;
    if (rest < 0 || rest >= 2 * HALF) return undefined;
    if (rest < HALF) return { component: Math.floor(rest / NUMBERS), ino: (rest % NUMBERS) as Ino }; // See `numberOf`.
    const known = this.parts.get(number);
    if (known !== undefined) return known;
    const origin = this.stored(number);
    if (origin === undefined) return undefined;
    this.keep(number, decodeUnionOrigin(origin).part);
    return this.parts.get(number);
  }

  /** True for a hashed number: only memory and the table of origins know the inode that it stands for. */
  isHashed(number: Ino): boolean {
    return number >= HASHED_FIRST;
  }

  learn(number: Ino, part: UnionPart): void {
    if (!this.parts.has(number)) this.keep(number, part);
  }
}
