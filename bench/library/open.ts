/** Opening a store of many files: time and memory, each in a fresh process. */
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { runContender } from '../measure/contender.ts';
import { summarize } from '../measure/sampling.ts';
import type { Section } from '../measure/table.ts';
import type { OpenArgument, OpenResult } from './open-cases.ts';

const CONTENDER = new URL('./open-contender.js', import.meta.url);

const PROCESSES = 7;
const MIB = 2 ** 20;

async function run({ isQuick, onStep, treeStore }: BenchContext): Promise<Section> {
  const tree = await treeStore();
  const argument: OpenArgument = { storeDirectory: tree.storeDirectory, snapshot: tree.snapshot };
  const results: OpenResult[] = [];
  for (let process = 0; process < (isQuick ? 3 : PROCESSES); process++) {
    onStep(`opening a store, process ${process + 1}`);
    results.push(await runContender<OpenResult>(CONTENDER, argument));
  }
  const files = tree.files.toLocaleString('en-US');
  const of = (pick: (result: OpenResult) => number) => ({ Ramet: summarize(results.map(pick)) });
  return {
    title: 'Opening',
    peers: [],
    own: ['Ramet'],
    rows: [
      { what: `open a store of ${files} files`, unit: 'ms', cells: of(({ openMs }) => openMs), budget: 50 },
      {
        what: 'the same, and a snapshot of it, and stat a file',
        unit: 'ms',
        cells: of(({ statMs }) => statMs),
      },
      { what: 'loading the library', unit: 'ms', cells: of(({ loadMs }) => loadMs) },
      {
        what: 'resident memory beyond Node, library and open store',
        unit: 'MiB',
        cells: of(({ residentBytes }) => residentBytes / MIB),
        budget: 40,
      },
    ],
    notes: ['each in a fresh process; resident memory counts the pages of the store that are mapped'],
  };
}

export const openBenchmark: Benchmark = {
  name: 'open',
  about: 'opening a store of many files: time and memory',
  run,
};
