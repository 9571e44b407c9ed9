/** Forks of a directory of the host, made without an import, compared with overlays over the directory. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Store } from '../../src/library/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { summarizeSingle } from '../measure/sampling.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import {
  firstLine,
  runProgram,
  type WorkDirectory,
  whyNotProgram,
  whyNotRoot,
} from '../measure/work-directory.ts';
import { mountOverlay } from '../peers/mounts.ts';

const COPIES = 20;
/** For a fork of a directory of 100,000 files, which is durable when the call returns. */
const FORK_BUDGET_MS = 5;

function timeOverlays(lower: string, work: WorkDirectory): Cell {
  const reason = whyNotRoot();
  if (reason !== undefined) return { absentBecause: reason };
  const samples: number[] = [];
  try {
    for (let at = 0; at < COPIES; at++) {
      const started = performance.now();
      const { unmount } = mountOverlay(lower, work.join(`overlay-${at}`), work);
      samples.push(performance.now() - started);
      unmount();
    }
  } catch (error) {
    return { absentBecause: `an overlay cannot be mounted here: ${firstLine(error)}` };
  }
  return summarizeSingle(samples);
}

function timeFuseOverlays(lower: string, work: WorkDirectory): Cell {
  const reason = whyNotRoot() ?? whyNotProgram('fuse-overlayfs');
  if (reason !== undefined) return { absentBecause: reason };
  const samples: number[] = [];
  for (let at = 0; at < COPIES; at++) {
    const [upper, scratch, point] = ['upper', 'scratch', 'point'].map((part) =>
      work.join(`fuse-${at}`, part),
    );
    for (const part of [upper!, scratch!, point!]) mkdirSync(part, { recursive: true });
    const started = performance.now();
    runProgram('fuse-overlayfs', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${scratch}`, point!);
    samples.push(performance.now() - started);
    work.onRemove(() => runProgram('umount', point!))();
  }
  return summarizeSingle(samples);
}

async function timeForks(lower: string, storeDirectory: string): Promise<{ fork: Cell; firstFile: Cell }> {
  const store = await Store.open(storeDirectory);
  const forks: number[] = [];
  const files: number[] = [];
  for (let at = 0; at < COPIES; at++) {
    const started = performance.now();
    const fork = await store.createFork({ name: `fork-${at}`, lowers: [lower] });
    forks.push(performance.now() - started);
    fork.fs.readFileSync('/part-0/module-1/file-1.ts');
    files.push(performance.now() - started);
    await fork.close();
  }
  await store.close();
  return { fork: summarizeSingle(forks), firstFile: summarizeSingle(files) };
}

async function forking(context: BenchContext): Promise<Section> {
  const { hostDirectory, files } = await context.treeStore();
  const { work, onStep } = context;
  onStep('forking a directory of the host');
  const ramet = await timeForks(path.resolve(hostDirectory), work.join('host-store'));
  const rows: Row[] = [
    {
      what: 'a writable copy',
      unit: 'ms',
      cells: {
        overlayfs: timeOverlays(hostDirectory, work),
        'fuse-overlayfs': timeFuseOverlays(hostDirectory, work),
        Ramet: ramet.fork,
      },
      budget: FORK_BUDGET_MS,
    },
    { what: 'and a file of it read', unit: 'ms', cells: { Ramet: ramet.firstFile } },
  ];
  return {
    title: `A directory of ${files.toLocaleString('en-US')} files, forked where it stands`,
    peers: ['overlayfs', 'fuse-overlayfs'],
    own: ['Ramet'],
    rows,
    notes: [
      'an overlay is mounted by mount(8), whose start is part of the time; a fork is durable when it returns',
    ],
  };
}

export const hostForkBenchmark: Benchmark = {
  name: 'fork',
  about: 'forks of a directory of many files, without an import',
  run: forking,
};
