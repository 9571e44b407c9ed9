/** The same program writes and reads a gibibyte in order in Ramet, in filesystems of the kernel and of JavaScript. */
import { mkdirSync } from 'node:fs';
import { type Absent, isAbsent } from '../../src/demo/index.ts';
import { Store } from '../../src/library/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { runContender } from '../measure/contender.ts';
import type { Cell, Section } from '../measure/table.ts';
import { firstLine, type WorkDirectory, whyNotRoot } from '../measure/work-directory.ts';
import { mountImage, mountOverlay, type PeerMount } from '../peers/mounts.ts';
import type { LibraryContender } from './cases.ts';
import type { SequentialArgument, SequentialResult } from './sequential-cases.ts';

const CONTENDER = new URL('./sequential-contender.js', import.meta.url);

const GIB = 2 ** 30;
const IMAGE_BYTES = 3 * GIB;

interface Contender {
  readonly name: string;
  /** Sets the contender up, and registers with the work directory what must be undone. */
  readonly prepare: () =>
    | Omit<SequentialArgument, 'sizeBytes'>
    | Absent
    | Promise<Omit<SequentialArgument, 'sizeBytes'>>;
}

function onHost(root: string, behind: string): Omit<SequentialArgument, 'sizeBytes'> {
  return { contender: { kind: 'host' }, root, behind };
}

function mounted(mount: PeerMount | Absent): Omit<SequentialArgument, 'sizeBytes'> | Absent {
  return isAbsent(mount) ? mount : onHost(mount.point, mount.point);
}

async function prepareRamet(work: WorkDirectory): Promise<Omit<SequentialArgument, 'sizeBytes'>> {
  const storeDirectory = work.join('sequential-store');
  const store = await Store.open(storeDirectory);
  await (await store.createFork({ name: 'fork', lowers: [] })).close();
  await store.close();
  const contender: LibraryContender = { kind: 'ramet', storeDirectory, fork: 'fork' };
  return { contender, root: '', behind: `${storeDirectory}/blobs` };
}

function prepareOverlay(work: WorkDirectory): Omit<SequentialArgument, 'sizeBytes'> | Absent {
  const reason = whyNotRoot();
  if (reason !== undefined) return { absentBecause: reason };
  mkdirSync(work.join('sequential-lower'));
  try {
    const { point } = mountOverlay(work.join('sequential-lower'), work.join('sequential-overlay'), work);
    return onHost(point, work.join('sequential-overlay', 'upper'));
  } catch (error) {
    return { absentBecause: `an overlay cannot be mounted here: ${firstLine(error)}` };
  }
}

function contenders({ work, peerPackages }: BenchContext): readonly Contender[] {
  const inMemory = (kind: 'zenfs memory'): Omit<SequentialArgument, 'sizeBytes'> | Absent => {
    const packages = peerPackages();
    return isAbsent(packages)
      ? packages
      : { contender: { kind, packages }, root: work.join('sequential-empty') };
  };
  mkdirSync(work.join('sequential-empty'));
  mkdirSync(work.join('sequential-host'));
  return [
    { name: 'ext4', prepare: () => onHost(work.join('sequential-host'), work.join('sequential-host')) },
    { name: 'XFS', prepare: () => mounted(mountImage('xfs', work, IMAGE_BYTES)) },
    { name: 'btrfs', prepare: () => mounted(mountImage('btrfs', work, IMAGE_BYTES)) },
    { name: 'overlayfs', prepare: () => prepareOverlay(work) },
    { name: 'memfs', prepare: () => ({ contender: { kind: 'memfs' }, root: work.join('sequential-empty') }) },
    { name: 'ZenFS InMemory', prepare: () => inMemory('zenfs memory') },
    { name: 'Ramet', prepare: () => prepareRamet(work) },
  ];
}

async function measure(contender: Contender, sizeBytes: number): Promise<SequentialResult | Absent> {
  const argument = await contender.prepare();
  if (isAbsent(argument)) return argument;
  try {
    return await runContender<SequentialResult>(CONTENDER, { ...argument, sizeBytes });
  } catch (error) {
    if (contender.name === 'Ramet') throw error;
    return { absentBecause: `it cannot hold a file of this size: ${firstLine(error).slice(0, 80)}` };
  }
}

async function run(context: BenchContext): Promise<Section> {
  const sizeBytes = context.isQuick ? GIB / 16 : GIB;
  const results = new Map<string, SequentialResult | Absent>();
  for (const contender of contenders(context)) {
    context.onStep(`a large file in order: ${contender.name}`);
    results.set(contender.name, await measure(contender, sizeBytes));
  }
  const cells = (pick: (result: SequentialResult) => Cell): Record<string, Cell> =>
    Object.fromEntries([...results].map(([name, of]) => [name, isAbsent(of) ? of : pick(of)]));
  return {
    title: `${sizeBytes / 2 ** 20} MiB in order, 1 MiB at a time`,
    peers: [...results.keys()].filter((name) => name !== 'Ramet'),
    own: ['Ramet'],
    rows: [
      { what: 'write a new file', unit: 'ms', cells: cells(({ writeMs }) => writeMs) },
      { what: 'fsync it', unit: 'ms', cells: cells(({ syncMs }) => syncMs) },
      { what: 'read it, warm', unit: 'ms', cells: cells(({ warmMs }) => warmMs) },
      { what: 'read it, from cold', unit: 'ms', cells: cells(({ coldMs }) => coldMs) },
    ],
    notes: [
      'XFS and btrfs lie in image files on the same disk, with direct I/O',
      'Ramet verifies checksums of sealed blocks only',
    ],
  };
}

export const sequentialBenchmark: Benchmark = {
  name: 'sequential',
  about: 'a gibibyte written and read in order',
  run,
};
