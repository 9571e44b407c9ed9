/** Quantiles of measurements. */
import { assert } from '../base/index.ts';

/** The quantile for `rank` (0 to 1) by the nearest-rank method: always one of the samples, never interpolated. */
export function quantile(samples: readonly number[], rank: number): number {
  assert(samples.length > 0, 'a quantile needs a sample');
  const sorted = [...samples].sort((a, b) => a - b);
  const index = Math.min(sorted.length - 1, Math.max(0, Math.ceil(rank * sorted.length) - 1));
  return sorted[index]!;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}
