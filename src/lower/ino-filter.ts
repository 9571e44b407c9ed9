/**
 * The inodes that a frozen layer may have a record of: an exact set while they are few, else a Bloom filter (Bloom
 * 1970; probes from two hashes, Kirsch and Mitzenmacher 2006). `has` is never false for an inode of the layer.
 */
import type { Ino } from '../base/index.ts';

/** The most numbers that an exact set holds, at about 40 bytes each. */
const EXACT_MAX = 4_096;
/** With 16 bits and 4 probes for each number, one false positive in 400. */
const BITS_PER_INO = 16;
const PROBES = 4;

export interface InoFilter {
  has(ino: Ino): boolean;
}

/** A filter of the `count` numbers in `inos`. */
export function inoFilter(inos: Iterable<Ino>, count: number): InoFilter {
  return count <= EXACT_MAX ? new Set(inos) : new BloomFilter(inos, count);
}

class BloomFilter implements InoFilter {
  private readonly words: Uint32Array;
  /** The number of bits, a power of two, minus 1. */
  private readonly mask: number;

  constructor(inos: Iterable<Ino>, count: number) {
    let bits = 1024;
    while (bits < count * BITS_PER_INO && bits < 2 ** 31) bits *= 2;
    this.words = new Uint32Array(bits / 32);
    this.mask = bits - 1;
    for (const ino of inos) this.add(ino);
  }

  private add(ino: Ino): void {
    let bit = mix(ino, 0x9e3779b1);
    const step = mix(ino, 0x85ebca6b) | 1;
    for (let probe = 0; probe < PROBES; probe++, bit = (bit + step) | 0) {
      const at = (bit & this.mask) >>> 5;
      this.words[at] = this.words[at]! | (1 << (bit & 31));
    }
  }

  has(ino: Ino): boolean {
    let bit = mix(ino, 0x9e3779b1);
    const step = mix(ino, 0x85ebca6b) | 1;
    for (let probe = 0; probe < PROBES; probe++, bit = (bit + step) | 0) {
      if ((this.words[(bit & this.mask) >>> 5]! & (1 << (bit & 31))) === 0) return false;
    }
    return true;
  }
}

/** 32 well-mixed bits of a number below 2^53: the finalizer of MurmurHash3 over both halves. */
function mix(ino: number, seed: number): number {
  let hash = Math.imul(ino | 0, seed) ^ Math.imul((ino / 2 ** 32) | 0, 0xc2b2ae35);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
