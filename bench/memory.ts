/**
 * A large file in many forks, one block changed in each, all of it read in all: memory, disk, and the first write.
 * Beside it plain copies, overlay mounts, and reflinked copies on filesystems that can, where the host lets us.
 */
import { mkdirSync } from 'node:fs';
import type { BenchContext, Benchmark } from './bench-context.ts';
import { type LargeFileFigures, MIB, makeLargeFile } from './large-file.ts';
import { copies, overlays, reflinks } from './memory-peers.ts';
import { measureRamet, WARM_UP_FORKS } from './memory-ramet.ts';
import type { Cell, Row, Section } from './table.ts';

const FORKS = 16;
const FILE_MIB = 512;
/** Beyond one copy of the file. */
const MEMORY_BUDGET_MIB = 10;
const DISK_BUDGET_MIB = 1;
const FIRST_WRITE_BUDGET_MS = 0.1;

async function run({ work, isQuick, onStep }: BenchContext): Promise<Section> {
  const fileMib = isQuick ? FILE_MIB / 8 : FILE_MIB;
  onStep('making a large file');
  mkdirSync(work.join('large'));
  const large = makeLargeFile(work.join('large', 'file.bin'), fileMib * MIB, FORKS);
  const contenders: readonly (readonly [string, () => Promise<LargeFileFigures>])[] = [
    ['copies', () => copies(large, work)],
    ['overlayfs', () => overlays(large, work)],
    ['XFS reflink', () => reflinks('xfs', large, work)],
    ['btrfs reflink', () => reflinks('btrfs', large, work)],
    ['Ramet', () => measureRamet(large, work)],
  ];
  const figures = new Map<string, LargeFileFigures>();
  for (const [name, measure] of contenders) {
    onStep(`a large file in ${FORKS} forks: ${name}`);
    figures.set(name, await measure());
  }
  const cells = (pick: (of: LargeFileFigures) => Cell): Record<string, Cell> =>
    Object.fromEntries([...figures].map(([name, of]) => [name, pick(of)]));
  const rows: Row[] = [
    {
      what: 'memory: growth of Cached',
      unit: 'MiB',
      cells: cells((of) => of.cachedMib),
      budget: fileMib + MEMORY_BUDGET_MIB,
    },
    {
      what: 'memory: pages of the files behind',
      unit: 'MiB',
      cells: cells((of) => of.residentMib),
      budget: fileMib + MEMORY_BUDGET_MIB,
    },
    { what: 'disk: growth', unit: 'MiB', cells: cells((of) => of.diskMib), budget: DISK_BUDGET_MIB },
    {
      what: 'first 4 KiB write in a fork',
      unit: 'ms',
      cells: cells((of) => of.firstWriteMs),
      budget: FIRST_WRITE_BUDGET_MS,
    },
    { what: 'reading all, from cold', unit: 'ms', cells: cells((of) => of.readMs) },
  ];
  return {
    title: `A file of ${fileMib} MiB in ${FORKS} forks, one 4 KiB page changed in each, all read`,
    peers: contenders.map(([name]) => name).filter((name) => name !== 'Ramet'),
    own: ['Ramet'],
    rows,
    notes: [
      'sources and forks are dropped from memory before the baseline is taken; Cached is of the whole machine',
      `the first write is open, write, close; those of Ramet come after ${WARM_UP_FORKS} in another store`,
      'Ramet checks the checksum of every block that it reads from cold',
    ],
  };
}

export const memoryBenchmark: Benchmark = {
  name: 'memory',
  about: 'a large file in many forks: memory, disk, first write',
  run,
};
