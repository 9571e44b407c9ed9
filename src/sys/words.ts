/**
 * 64-bit fields of kernel structures as pairs of 32-bit words, low word first, so that no BigInt is made. Every
 * architecture that `libc.ts` accepts is little-endian.
 */
import { TWO_32 } from '../base/index.ts';

/** An unsigned number. Use it only for numbers of the kernel that stay below 2^53. */
export function uint64(words: Uint32Array, index: number): number {
  return words[index]! + words[index + 1]! * TWO_32;
}

/** An unsigned number, exact: a bigint from 2^53 on. */
export function exactUint64(words: Uint32Array, index: number): number | bigint {
  const number = uint64(words, index);
  if (number <= Number.MAX_SAFE_INTEGER) return number;
  return (BigInt(words[index + 1]!) << 32n) | BigInt(words[index]!);
}

/** A signed number within ±2^53. */
export function int64(words: Uint32Array, index: number): number {
  return words[index]! + (words[index + 1]! | 0) * TWO_32;
}

/** Stores a whole number within ±2^53 in two's complement. */
export function setUint64(words: Uint32Array, index: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  words[index] = value - high * TWO_32;
  words[index + 1] = high;
}
