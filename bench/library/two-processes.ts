/** Two processes at once, each in its own tree, both of one store or of one filesystem of the host. */
import { cpSync } from 'node:fs';
import { isAbsent } from '../../src/demo/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { runContender } from '../measure/contender.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { makeForks, makeTree, TITLES } from './calls.ts';
import type { LibraryArgument, LibraryCase, LibraryContender, LibraryResult } from './cases.ts';

const CONTENDER = new URL('./contender.js', import.meta.url);

/** The figure of the slower of the two processes, which the table shows. */
function slower(a: Cell, b: Cell): Cell {
  if (isAbsent(a) || isAbsent(b)) return a;
  return a.median > b.median ? a : b;
}

async function run({ work, sampling, onStep }: BenchContext): Promise<Section> {
  const roots = [work.join('two-a'), work.join('two-b')] as const;
  const storeDirectory = work.join('two-store');
  onStep('making trees for two processes');
  makeTree(roots[0]);
  cpSync(roots[0], roots[1], { recursive: true });
  await makeForks(roots[0], storeDirectory);
  const measure = (root: string, contender: LibraryContender): Promise<LibraryResult> => {
    const argument: LibraryArgument = { root, sampling, contender };
    return runContender<LibraryResult>(CONTENDER, argument);
  };
  const host = (index: 0 | 1) => measure(roots[index], { kind: 'host' });
  const own = (fork: string) => measure(roots[0], { kind: 'ramet', storeDirectory, fork });
  const results = new Map<string, readonly LibraryResult[]>();
  onStep('one process at a time');
  results.set('node:fs, one', [await host(0)]);
  results.set('Ramet, one', [await own('depth-1')]);
  onStep('two processes at once');
  results.set('node:fs, two', await Promise.all([host(0), host(1)]));
  results.set('Ramet, two', await Promise.all([own('depth-1'), own('second')]));
  const cases = Object.keys(TITLES) as LibraryCase[]; // The cast: TITLES has exactly these keys by its type.
  const rows = cases.map((name): Row => {
    const cells: Record<string, Cell> = {};
    for (const [column, [first, second]] of results)
      cells[column] = second === undefined ? first![name] : slower(first![name], second[name]);
    return { what: TITLES[name], unit: 'µs', cells };
  });
  return {
    title: 'Two processes at once, each writing its own fork of one store (or its own directory of the host)',
    peers: ['node:fs, one', 'node:fs, two'],
    own: ['Ramet, one', 'Ramet, two'],
    rows,
    notes: ['of two processes the slower one is shown, call by call; this machine has two cores'],
  };
}

export const twoProcessesBenchmark: Benchmark = {
  name: 'two-processes',
  about: 'two processes on one store at once',
  run,
};
