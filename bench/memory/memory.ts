/**
 * A large file in many forks, with one block changed in each, read in full in each: memory, disk, and the first write.
 * Compared with plain copies, overlay mounts and reflinked copies, where the host can make them.
 */
import { mkdirSync } from 'node:fs';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { type LargeFileFigures, MIB, makeLargeFile } from './large-file.ts';
import { copies, overlays, overlaysOnXfs, reflinks } from './peers.ts';
import { measureRamet, WARM_UP_FORKS } from './ramet.ts';

const FORKS = 16;
/** Memory that may be used in addition to one copy of the file. */
const MEMORY_BUDGET_MIB = 10;
const DISK_BUDGET_MIB = 1;
const FIRST_WRITE_BUDGET_MS = 0.1;

interface Experiment {
  readonly fileMib: number;
  readonly writeBytes: number;
  readonly title: string;
  /** The title of the row for first writes. */
  readonly write: string;
  readonly isReadShown: boolean;
}

async function run({ work, isQuick, onStep }: BenchContext, experiment: Experiment): Promise<Section> {
  const fileMib = isQuick ? experiment.fileMib / 8 : experiment.fileMib;
  const { writeBytes } = experiment;
  onStep('making a large file');
  const directory = `large-${writeBytes}`;
  mkdirSync(work.join(directory));
  const hostPath = work.join(directory, `file-${writeBytes}.bin`);
  const large = makeLargeFile({ hostPath, sizeBytes: fileMib * MIB, forks: FORKS, writeBytes });
  const contenders: readonly (readonly [string, () => LargeFileFigures | Promise<LargeFileFigures>])[] = [
    ['copies', () => copies(large, work)],
    ['overlayfs', () => overlays(large, work)],
    ['overlayfs on XFS', () => overlaysOnXfs(large, work)],
    ['XFS reflink', () => reflinks('xfs', large, work)],
    ['btrfs reflink', () => reflinks('btrfs', large, work)],
    ['Ramet', () => measureRamet(large, work)],
  ];
  const figures = new Map<string, LargeFileFigures>();
  for (const [name, measure] of contenders) {
    onStep(`a large file in ${FORKS} forks: ${name}`);
    figures.set(name, await measure());
  }
  return {
    title: `A file of ${fileMib} MiB in ${FORKS} forks, ${experiment.title}`,
    peers: contenders.map(([name]) => name).filter((name) => name !== 'Ramet'),
    own: ['Ramet'],
    rows: rowsOf(figures, fileMib, experiment),
    notes: [
      'sources and forks are dropped from memory before the baseline is taken; Cached is of the whole machine',
      `the first write is open, write, close; those of Ramet come after ${WARM_UP_FORKS} in another store`,
      'Ramet checks the checksum of every block that it reads from cold',
    ],
  };
}

function rowsOf(
  figures: ReadonlyMap<string, LargeFileFigures>,
  fileMib: number,
  experiment: Experiment,
): Row[] {
  const cells = (pick: (of: LargeFileFigures) => Cell): Record<string, Cell> =>
    Object.fromEntries([...figures].map(([name, of]) => [name, pick(of)]));
  const memoryBudget = fileMib + MEMORY_BUDGET_MIB;
  const rows: Row[] = [
    {
      what: 'memory: growth of Cached',
      unit: 'MiB',
      cells: cells((of) => of.cachedMib),
      budget: memoryBudget,
    },
    {
      what: 'memory: pages of the files behind',
      unit: 'MiB',
      cells: cells((of) => of.residentMib),
      budget: memoryBudget,
    },
    { what: 'disk: growth', unit: 'MiB', cells: cells((of) => of.diskMib), budget: DISK_BUDGET_MIB },
    {
      what: experiment.write,
      unit: 'ms',
      cells: cells((of) => of.firstWriteMs),
      budget: FIRST_WRITE_BUDGET_MS,
    },
  ];
  if (experiment.isReadShown)
    rows.push({ what: 'reading all, from cold', unit: 'ms', cells: cells((of) => of.readMs) });
  return rows;
}

export const memoryBenchmark: Benchmark = {
  name: 'memory',
  about: 'a large file in many forks: memory, disk, first write',
  run: (context) =>
    run(context, {
      fileMib: 512,
      writeBytes: 4096,
      title: 'one 4 KiB page changed in each, all read',
      write: 'first 4 KiB write in a fork',
      isReadShown: true,
    }),
};

export const writeBenchmark: Benchmark = {
  name: 'write',
  about: 'one byte written into a file of 64 MiB in each of many forks',
  run: (context) =>
    run(context, {
      fileMib: 64,
      writeBytes: 1,
      title: 'one byte changed in each, all read',
      write: 'first write of one byte in a fork',
      isReadShown: false,
    }),
};
