/**
 * A set of inode numbers. A tree's numbers mostly lie side by side, so each is one bit of a word: a thousand of them
 * take about 1.3 KB here and 33 KB in a `Set`. A number without neighbours takes as much as in a `Set`.
 */
import type { Ino } from '../base/index.ts';

/**
 * Bits used of each word. Numbers of 30 bits fit V8's small integers on every build; a larger number would be an
 * object.
 */
const WORD_BITS = 30;

export class InoSet implements Iterable<Ino> {
  private readonly words = new Map<number, number>();
  private count = 0;

  constructor(inos: Iterable<Ino> = []) {
    for (const ino of inos) this.add(ino);
  }

  get size(): number {
    return this.count;
  }

  has(ino: Ino): boolean {
    const index = Math.floor(ino / WORD_BITS);
    const word = this.words.get(index);
    return word !== undefined && (word & (1 << (ino - index * WORD_BITS))) !== 0;
  }

  add(ino: Ino): void {
    const index = Math.floor(ino / WORD_BITS);
    const word = this.words.get(index) ?? 0;
    const bit = 1 << (ino - index * WORD_BITS);
    if ((word & bit) !== 0) return;
    this.words.set(index, word | bit);
    this.count++;
  }

  /** Yields all numbers of the set, in no particular order. */
  *[Symbol.iterator](): Generator<Ino> {
    for (const [index, word] of this.words) {
      for (let bit = 0; bit < WORD_BITS; bit++) {
        if ((word & (1 << bit)) !== 0) yield (index * WORD_BITS + bit) as Ino; // The number that was added.
      }
    }
  }
}
