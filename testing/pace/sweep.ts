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

/** The number for the requested size: a count of cases, or the distance between two cases to try. */
export function swept(numbers: Readonly<Record<Size, number>>): number {
  return numbers[size];
}
