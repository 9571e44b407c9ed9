/**
 * Compares bytes with what they must be, and collects a problem for each difference. If there is no problem, every byte
 * that the demo reports as checked is right.
 */
import { BLOCK_SIZE } from '../base/index.ts';
import type { ForkPlan } from './plan.ts';

const PROBLEMS_MAX = 20;

export class Checks {
  readonly problems: string[] = [];
  /** Number of problems beyond the first `PROBLEMS_MAX`. */
  problemsLeftOut = 0;
  comparisons = 0;
  /** How many bytes the demo has checked: read by calls (`readBytes`), and read from memory maps (`mappedBytes`). */
  readBytes = 0;
  mappedBytes = 0;

  isTrue(condition: boolean, problem: () => string): void {
    this.comparisons++;
    if (!condition) this.add(problem());
  }

  private add(problem: string): void {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem);
    else this.problemsLeftOut++;
  }

  /** Compares whole buffers, and says where the first difference is. */
  areEqual(actual: Uint8Array, expected: Uint8Array, where: string, position = 0): void {
    this.comparisons++;
    if (Buffer.compare(actual, expected) === 0) return;
    const shorter = Math.min(actual.length, expected.length);
    let at = 0;
    while (at < shorter && actual[at] === expected[at]) at++;
    const lengths =
      actual.length === expected.length ? '' : ` (${actual.length} bytes for ${expected.length})`;
    this.add(`${where}: differs from what it must be at byte ${position + at}${lengths}`);
  }

  /**
   * Compares a piece of the large file in one fork: it must equal `base`, the same piece as it was imported, except in
   * the block that the fork overwrote. The piece starts at byte `position` of the file.
   */
  isPieceOf(actual: Uint8Array, base: Uint8Array, position: number, plan: ForkPlan, where: string): void {
    const start = plan.page * BLOCK_SIZE - position;
    const end = start + BLOCK_SIZE;
    if (end <= 0 || start >= base.length || actual.length !== base.length) {
      this.areEqual(actual, base, where, position);
      return;
    }
    this.areEqual(actual.subarray(0, start), base.subarray(0, start), where, position);
    this.areEqual(actual.subarray(start, end), plan.pageBytes, where, position + start);
    this.areEqual(actual.subarray(end), base.subarray(end), where, position + end);
  }
}
