/**
 * Makes a failing list smaller: the delta debugging of A. Zeller and R. Hildebrandt, "Simplifying and isolating
 * failure-inducing input" (2002), without its tests of subsets alone.
 */

/**
 * Indices of as few items as leaving out pieces, ever smaller ones, can reach while `fails` stays true. All of the
 * items fail. `fails` is asked some hundred times for a thousand items.
 */
export async function shrink<T>(
  items: readonly T[],
  fails: (some: readonly T[]) => Promise<boolean>,
): Promise<number[]> {
  let kept = items.map((_item, index) => index);
  const holds = (indices: readonly number[]): Promise<boolean> =>
    fails(indices.map((index) => items[index]!));
  for (let size = Math.ceil(kept.length / 2); ; size = Math.ceil(size / 2)) {
    // From the end: what comes later is seldom needed for what was seen before.
    for (let end = kept.length; end > 0; end -= size) {
      const without = [...kept.slice(0, Math.max(0, end - size)), ...kept.slice(end)];
      if (without.length > 0 && (await holds(without))) kept = without;
    }
    if (size === 1) return kept;
  }
}
