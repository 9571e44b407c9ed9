/** Whole trees through mounts: find, grep and git in a fresh private copy of a tree, and npm that installs into one. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Absent, isAbsent } from '../src/interface/demo/index.ts';
import type { BenchContext, Benchmark } from './bench-context.ts';
import { CONTENDERS, type MountContender, OTHER_MODES, OWN, PEERS } from './mount-contenders.ts';
import { summarize } from './sampling.ts';
import type { Cell, Row, Section } from './table.ts';
import { makeHostTree } from './tree-store.ts';
import { firstLine, runProgram, type WorkDirectory, whyNotProgram } from './work-directory.ts';

const ROUNDS = 3;
/** First `grep -r` through a fresh fork of 100,000 files, the source being warm. */
const GREP_BUDGET_MS = 2500;

/** Something that is timed in a copy; `name` is the row's. */
interface Step {
  readonly name: string;
  readonly budgetMs?: number;
  run(root: string): void;
}

interface TreeExperiment {
  readonly title: string;
  readonly source: string;
  readonly rounds: number;
  /** Each list is run in a fresh copy, in order. */
  readonly visits: readonly (readonly Step[])[];
  readonly notes: readonly string[];
}

function elapsedMs(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

/** Samples by name of the step. */
type Samples = Map<string, number[]>;

async function visit(contender: MountContender, steps: readonly Step[], samples: Samples): Promise<void> {
  const copy = await contender.copy();
  try {
    for (const step of steps) {
      const taken = samples.get(step.name) ?? [];
      taken.push(elapsedMs(() => step.run(copy.root)));
      samples.set(step.name, taken);
    }
  } finally {
    await copy.unmount();
  }
}

async function runExperiment(experiment: TreeExperiment, { work, onStep }: BenchContext): Promise<Section> {
  const contenders = new Map<string, MountContender | Absent>();
  const samples = new Map<string, Samples>();
  const failures = new Map<string, Absent>();
  try {
    for (const kind of CONTENDERS) {
      onStep(`getting ready: ${kind.name}`);
      contenders.set(kind.name, await kind.open(experiment.source, work));
      samples.set(kind.name, new Map());
    }
    for (let round = 0; round < experiment.rounds; round++) {
      for (const [name, contender] of contenders) {
        if (isAbsent(contender) || failures.has(name)) continue;
        onStep(`${experiment.title}: ${name}`);
        try {
          for (const steps of experiment.visits) await visit(contender, steps, samples.get(name)!);
        } catch (error) {
          failures.set(name, { absentBecause: firstLine(error) });
        }
      }
    }
  } finally {
    for (const contender of contenders.values()) if (!isAbsent(contender)) await contender.close();
  }
  const cellOf = (name: string, step: string): Cell => {
    const contender = contenders.get(name)!;
    if (isAbsent(contender)) return contender;
    const taken = samples.get(name)?.get(step);
    return failures.get(name) ?? summarize(taken!);
  };
  const rows = experiment.visits.flat().map(
    ({ name: what, budgetMs }): Row => ({
      what,
      unit: 'ms',
      cells: Object.fromEntries([...contenders.keys()].map((name) => [name, cellOf(name, what)])),
      ...(budgetMs === undefined ? {} : { budget: budgetMs }),
    }),
  );
  const { title, notes } = experiment;
  return { title, peers: PEERS, own: [OWN], columns: OTHER_MODES, rows, notes };
}

function find(root: string, files: number): void {
  const found = runProgram('sh', '-c', 'find "$1" -type f | wc -l', 'sh', root);
  if (Number(found) !== files) throw new Error(`find sees ${found} files, not ${files}`);
}

/** Reads everything. grep ends with 1, and this with 0, where the word is nowhere. */
function grep(root: string): void {
  runProgram('sh', '-c', 'grep -rqF "a word that is nowhere" "$1"; test $? = 1', 'sh', root);
}

async function searching(context: BenchContext): Promise<Section> {
  const { hostDirectory, files } = await context.treeStore();
  const count = files.toLocaleString('en-US');
  const budget = files === 100_000 ? { budgetMs: GREP_BUDGET_MS } : {};
  grep(hostDirectory);
  return runExperiment(
    {
      title: `A fresh private copy of ${count} files`,
      source: hostDirectory,
      rounds: context.isQuick ? 1 : ROUNDS,
      visits: [
        [{ name: 'first find', run: (root) => find(root, files) }],
        [
          { name: 'first grep -r', run: grep, ...budget },
          { name: 'grep -r again', run: grep },
        ],
      ],
      notes: [
        'each first in a copy of its own, with the source in memory; that of ext4 is made by cp -a, not timed',
      ],
    },
    context,
  );
}

const GIT_IDENTITY = ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', '-c', 'gc.auto=0'];

function makeRepository(work: WorkDirectory, directories: number, files: number): string {
  const root = work.join('repository');
  makeHostTree(root, directories, files);
  runProgram('git', 'init', '-q', root);
  runProgram('git', '-C', root, 'add', '.');
  runProgram('git', '-C', root, ...GIT_IDENTITY, 'commit', '-q', '-m', 'all');
  return root;
}

function gitStatus(root: string): void {
  // The copy belongs to whoever made it; git refuses directories of others.
  const output = runProgram('git', '-c', `safe.directory=${root}`, '-C', root, 'status', '--porcelain');
  if (output !== '') throw new Error(`git sees changes: ${output.slice(0, 80)}`);
}

async function workingWithGit(context: BenchContext): Promise<Section[]> {
  if (whyNotProgram('git') !== undefined) return [];
  context.onStep('making a repository');
  const [directories, files] = context.isQuick ? [100, 2000] : [1000, 20_000];
  return [
    await runExperiment(
      {
        title: `git in a fresh private copy of ${files.toLocaleString('en-US')} files`,
        source: makeRepository(context.work, directories, files),
        rounds: context.isQuick ? 1 : ROUNDS,
        visits: [
          [
            { name: 'git status, first', run: gitStatus },
            { name: 'git status again', run: gitStatus },
          ],
        ],
        notes: [
          'the first compares every file by content, since numbers and ctimes are not those of the index',
        ],
      },
      context,
    ),
  ];
}

/** The package of this project and its lock file. */
function makePackage(work: WorkDirectory): string {
  const root = work.join('package');
  mkdirSync(root);
  const project = fileURLToPath(new URL('../../', import.meta.url));
  for (const name of ['package.json', 'package-lock.json'])
    copyFileSync(`${project}${name}`, `${root}/${name}`);
  return root;
}

function npmCi(root: string, cache: string, ...more: readonly string[]): void {
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent', '--cache', cache, ...more];
  runProgram('npm', 'ci', '--prefix', root, ...flags);
}

async function installing(context: BenchContext): Promise<Section[]> {
  const source = makePackage(context.work);
  const cache = context.work.join('npm-cache');
  const trial = context.work.join('package-trial');
  context.onStep('filling a cache of packages');
  runProgram('cp', '-a', source, trial);
  try {
    npmCi(trial, cache);
  } catch (error) {
    // Without packages there is nothing to measure: the table says so instead of figures.
    const absent: Absent = { absentBecause: `npm cannot fetch packages here: ${firstLine(error)}` };
    const row: Row = { what: 'npm ci', unit: 'ms', cells: { [OWN]: absent } };
    return [{ title: 'npm ci', peers: [], own: [OWN], rows: [row], notes: [] }];
  }
  return [
    await runExperiment(
      {
        title: 'Installing the packages of this project',
        source,
        rounds: context.isQuick ? 1 : ROUNDS,
        visits: [[{ name: 'npm ci', run: (root) => npmCi(root, cache, '--offline') }]],
        notes: ['from a filled cache on the host, without network'],
      },
      context,
    ),
  ];
}

export const mountTreesBenchmark: Benchmark = {
  name: 'trees',
  about: 'find and grep -r in fresh private copies of a tree of many files',
  run: searching,
};

export const mountProgramsBenchmark: Benchmark = {
  name: 'programs',
  about: 'git status and npm ci in fresh private copies',
  run: async (context) => [...(await workingWithGit(context)), ...(await installing(context))],
};
