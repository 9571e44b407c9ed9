/** A random number generator with a seed, for simulations. */

export interface Random {
  /** A whole number in [0, bound). */
  below(bound: number): number;
}

/** mulberry32, by Tommy Ettinger (public domain): 32 bits of state, good enough to drive simulations. */
export class SeededRandom implements Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  next32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = this.state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  below(bound: number): number {
    return Math.floor((this.next32() / 2 ** 32) * bound);
  }
}
