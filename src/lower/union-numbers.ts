/**
 * Inode numbers of a union: each stands for one inode of one component. A number that the store gave out is packed
 * together with the component, which needs no memory. A number of a derived layer is hashed and kept here, and in the
 * table of origins once a layer above records anything of its inode.
 *
 *     2^48 +                component · 2^38 + number     for numbers below 2^38
 *     2^48 + 2^47 + 47 bits of a checksum over both       for others; the next free one where that is taken
 */
import { checksum64, type Ino } from '../base/index.ts';
import { DERIVED_INO_FIRST } from './derived-numbers.ts';
import { decodeUnionOrigin, type UnionPart } from './origin-format.ts';

/** Most components of a union: as many lower layers as the kernel's overlayfs takes. */
export const COMPONENTS_MAX = 500;
const NUMBERS = 2 ** 38;
const HALF = 2 ** 47;
const HASHED_FIRST = DERIVED_INO_FIRST + HALF;

/** The number of a union's root, given that of the root of its uppermost component. */
export function rootOfUnion(root: Ino): Ino {
  return new UnionNumbers(() => undefined).numberOf(0, root);
}

export class UnionNumbers {
  /** The stored origin of a number. */
  private readonly stored: (ino: Ino) => Uint8Array | undefined;
  private readonly parts = new Map<Ino, UnionPart>();
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
      const number = (HASHED_FIRST + rest) as Ino; // As above.
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

  /** Undefined for a number that is not of this union, or not known (any more). */
  partOf(number: Ino): UnionPart | undefined {
    const rest = number - DERIVED_INO_FIRST;
    if (rest < 0 || rest >= 2 * HALF) return undefined;
    if (rest < HALF) return { component: Math.floor(rest / NUMBERS), ino: (rest % NUMBERS) as Ino }; // As packed above.
    const known = this.parts.get(number);
    if (known !== undefined) return known;
    const origin = this.stored(number);
    if (origin === undefined) return undefined;
    this.keep(number, decodeUnionOrigin(origin).part);
    return this.parts.get(number);
  }

  /** Only memory and the table of origins know what a hashed number stands for. */
  isHashed(number: Ino): boolean {
    return number >= HASHED_FIRST;
  }

  learn(number: Ino, part: UnionPart): void {
    if (!this.parts.has(number)) this.keep(number, part);
  }
}
