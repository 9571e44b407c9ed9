/**
 * How much of a sweep is tried. `npm test` takes a sample that fixed seeds pick, `.ci/run` takes more
 * (`RAMET_SWEEP=long`), and `RAMET_SWEEP=all` takes everything.
 */
const SIZES = ['sample', 'long', 'all'] as const;

type Size = (typeof SIZES)[number];

function asked(): Size {
  const name = process.env.RAMET_SWEEP ?? 'sample';
  const size = SIZES.find((one) => one === name);
  if (size === undefined) throw new Error(`RAMET_SWEEP is ${SIZES.join(', ')}, not ${name}`);
  return size;
}

const size = asked();

export const takesAll = size === 'all';

/** The number for the size that is asked for: a count of cases, or how many cases apart those are that are tried. */
export function swept(numbers: Readonly<Record<Size, number>>): number {
  return numbers[size];
}
