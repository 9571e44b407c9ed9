/**
 * Shrinks a list that fails: the delta debugging of A. Zeller and R. Hildebrandt, "Simplifying and isolating
 * failure-inducing input" (2002), which here tries only complements, not subsets.
 */

/**
 * Leaves out pieces of the list, smaller and smaller ones, as long as `fails` stays true. Returns the indices of the
 * remaining items. `fails` must be true for all items; it is called some hundred times for a thousand items.
 */
export async function shrink<T>(
  items: readonly T[],
  fails: (some: readonly T[]) => Promise<boolean>,
): Promise<number[]> {
  let kept = items.map((_item, index) => index);
  const holds = (indices: readonly number[]): Promise<boolean> =>
    fails(indices.map((index) => items[index]!));
  for (let size = Math.ceil(kept.length / 2); ; size = Math.ceil(size / 2)) {
    // From the end, because later operations are seldom needed for a failure.
    for (let end = kept.length; end > 0; end -= size) {
      const without = [...kept.slice(0, Math.max(0, end - size)), ...kept.slice(end)];
      if (without.length > 0 && (await holds(without))) kept = without;
    }
    if (size === 1) return kept;
  }
}
