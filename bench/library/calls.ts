/** Single calls of the library, compared with node:fs and filesystems in JavaScript, each in a process of its own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { type Absent, isAbsent, SeededBytes } from '../../src/demo/index.ts';
import { Store } from '../../src/library/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { runContender } from '../measure/contender.ts';
import { QUICK } from '../measure/sampling.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { firstLine } from '../measure/work-directory.ts';
import {
  type LibraryArgument,
  type LibraryCase,
  type LibraryContender,
  type LibraryResult,
  READ_BYTES,
  WIDE_DIRECTORIES,
  WIDE_ENTRIES,
} from './cases.ts';

const CONTENDER = new URL('./contender.js', import.meta.url);

const LARGE_BYTES = 4 * 1024 * 1024;

/** The most that a call of Ramet may take, in microseconds. */
const BUDGETS: Readonly<Record<LibraryCase, number>> = {
  read: 0.6,
  readFile: 2,
  stat: 0.8,
  writeFile: 8,
  createUnlink: 10,
  readdir: 100,
  readdirCold: 700,
};

export const TITLES: Readonly<Record<LibraryCase, string>> = {
  read: '4 KiB read of an open file',
  readFile: 'readFileSync of 4 KiB',
  stat: 'statSync',
  writeFile: 'writeFileSync of 4 KiB, overwriting',
  createUnlink: 'create, close, unlink',
  readdir: 'readdirSync of 1,000 names, warm',
  readdirCold: 'readdirSync of 1,000 names, first after opening',
};

/** The tree that every contender works in. */
export function makeTree(root: string): void {
  mkdirSync(root);
  writeFileSync(`${root}/large`, new SeededBytes('library').at(0, LARGE_BYTES));
  mkdirSync(`${root}/src`);
  for (let file = 0; file < 100; file++)
    writeFileSync(`${root}/src/file-${file}`, Buffer.alloc(READ_BYTES, file));
  for (let wide = 0; wide < WIDE_DIRECTORIES; wide++) {
    mkdirSync(`${root}/wide-${wide}`);
    for (let entry = 0; entry < WIDE_ENTRIES; entry++)
      writeFileSync(`${root}/wide-${wide}/entry-${entry}.ts`, '');
  }
}

/** Makes two forks of the import itself, and one with two changed snapshots between. */
export async function makeForks(root: string, directory: string): Promise<void> {
  const store = await Store.open(directory);
  const base = await store.import(root, { name: 'base' });
  await (await base.fork('depth-1')).close();
  await (await base.fork('second')).close();
  let below = base;
  for (const level of [1, 2]) {
    const fork = await below.fork(`level-${level}`);
    fork.fs.writeFileSync(`/src/of-level-${level}`, 'a change');
    fork.fs.writeFileSync(`/src/file-${level}`, Buffer.alloc(READ_BYTES, level));
    below = await fork.snapshot(`snapshot-${level}`);
    await fork.close();
  }
  await (await below.fork('depth-3')).close();
  await store.close();
}

/** Measures a contender. A peer that fails is left out, and the table shows its error. */
async function measureContender(argument: LibraryArgument): Promise<LibraryResult | Absent> {
  if (argument.contender.kind === 'ramet') return runContender(CONTENDER, argument);
  try {
    return await runContender(CONTENDER, argument);
  } catch (error) {
    return { absentBecause: `it failed: ${firstLine(error)}` };
  }
}

async function run({ work, sampling, onStep, peerPackages }: BenchContext): Promise<Section> {
  const root = work.join('library');
  const storeDirectory = work.join('library-store');
  onStep('making a tree for the library');
  makeTree(root);
  await makeForks(root, storeDirectory);
  const packages = peerPackages();
  const contenders: readonly (readonly [string, LibraryContender | Absent])[] = [
    ['node:fs', { kind: 'host' }],
    ['memfs', { kind: 'memfs' }],
    ['ZenFS InMemory', isAbsent(packages) ? packages : { kind: 'zenfs memory', packages }],
    ['ZenFS CopyOnWrite', isAbsent(packages) ? packages : { kind: 'zenfs copy-on-write', packages }],
    ['just-bash OverlayFs', isAbsent(packages) ? packages : { kind: 'just-bash', packages }],
    ['Ramet, depth 1', { kind: 'ramet', storeDirectory, fork: 'depth-1' }],
    ['Ramet, depth 3', { kind: 'ramet', storeDirectory, fork: 'depth-3' }],
  ];
  const results = new Map<string, LibraryResult | Absent>();
  for (const [name, contender] of contenders) {
    onStep(`calls of ${name}`);
    results.set(
      name,
      isAbsent(contender) ? contender : await measureContender({ contender, root, sampling }),
    );
  }
  // The cast: BUDGETS has exactly these keys by its type.
  const cases = Object.keys(BUDGETS) as LibraryCase[];
  const rows = cases.map((name): Row => {
    const cells: Record<string, Cell> = {};
    for (const [contender, result] of results) cells[contender] = isAbsent(result) ? result : result[name];
    return { what: TITLES[name], unit: 'µs', cells, budget: BUDGETS[name] };
  });
  const notes = [
    'a round is the mean of many calls, garbage collection included; calls under 1.5 µs are not timed one by one',
    'ZenFS CopyOnWrite has its lower files in memory too',
    'just-bash OverlayFs reads its lower files from the host, and its calls are awaited',
    'just-bash has no create without content: it writes an empty file',
  ];
  if (sampling === QUICK) notes.push('a quick run: few and short rounds');
  return {
    title: 'Library calls',
    peers: contenders.map(([name]) => name).filter((name) => !name.startsWith('Ramet')),
    own: ['Ramet, depth 1', 'Ramet, depth 3'],
    rows,
    notes,
  };
}

export const libraryBenchmark: Benchmark = {
  name: 'library',
  about: 'single calls, beside node:fs on the host and filesystems in JavaScript',
  run,
};
