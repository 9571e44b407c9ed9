/** Work on whole trees through mounts: find, grep, git and npm in a fresh private copy of a tree. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Absent, isAbsent } from '../../src/demo/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { summarize } from '../measure/sampling.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { readAll, timeProgram } from '../measure/timed-program.ts';
import { makeHostTree } from '../measure/tree-store.ts';
import { firstLine, runProgram, type WorkDirectory, whyNotProgram } from '../measure/work-directory.ts';
import { CONTENDERS, type MountContender, OTHER_MODES, OWN, PEERS } from './contenders.ts';

const ROUNDS = 3;
/** A contender that has used more than this in total runs no further rounds. */
const CONTENDER_MS_MAX = 20_000;
/** The time limit of one step. */
const STEP_MS_MAX = 60_000;
/** For the first `grep -r` through a fresh fork of 100,000 files whose source is in the page cache. */
const GREP_BUDGET_MS = 2500;

/** Something that is timed in a copy; `name` is the name of its row. */
interface Step {
  readonly name: string;
  readonly budgetMs?: number;
  /** Resolves to the milliseconds that it took. */
  run(root: string): Promise<number>;
}

interface TreeExperiment {
  readonly title: string;
  readonly source: string;
  readonly rounds: number;
  /** Each list is run in a fresh copy, in order. */
  readonly visits: readonly (readonly Step[])[];
  readonly notes: readonly string[];
}

/** Samples by name of the step. */
type Samples = Map<string, number[]>;

async function visit(contender: MountContender, steps: readonly Step[], samples: Samples): Promise<void> {
  const copy = await contender.copy();
  try {
    // The host may have dropped the files behind the copy from memory since the last visit.
    for (const directory of copy.behind) await readAll(STEP_MS_MAX, directory);
    for (const step of steps) {
      const taken = samples.get(step.name) ?? [];
      taken.push(await step.run(copy.root));
      samples.set(step.name, taken);
    }
  } finally {
    await copy.unmount();
  }
}

/** A contender and its results so far. */
interface Runner {
  readonly contender: MountContender;
  readonly samples: Samples;
  /** Includes making and removing the copies. */
  totalMs: number;
  rounds: number;
  failure?: Absent;
}

async function runRound(runner: Runner, experiment: TreeExperiment): Promise<void> {
  const started = performance.now();
  try {
    for (const steps of experiment.visits) await visit(runner.contender, steps, runner.samples);
    runner.rounds++;
  } catch (error) {
    runner.failure = { absentBecause: firstLine(error) };
  }
  runner.totalMs += performance.now() - started;
}

/** A note that names the contenders that ran fewer rounds than planned; none if all ran them. */
function skippedRounds(runners: ReadonlyMap<string, Runner | Absent>, rounds: number): string[] {
  const skipped = [...runners].flatMap(([name, runner]) => {
    if (isAbsent(runner) || runner.failure !== undefined || runner.rounds >= rounds) return [];
    return [`${name} ${runner.rounds}, which took ${Math.round(runner.totalMs / 1000)} s with its copies`];
  });
  if (skipped.length === 0) return [];
  return [`rounds: ${rounds}, but none is begun after ${CONTENDER_MS_MAX / 1000} s: ${skipped.join('; ')}`];
}

async function runExperiment(experiment: TreeExperiment, { work, onStep }: BenchContext): Promise<Section> {
  const runners = new Map<string, Runner | Absent>();
  try {
    for (const kind of CONTENDERS) {
      onStep(`getting ready: ${kind.name}`);
      const contender = await kind.open(experiment.source, work);
      const runner = isAbsent(contender)
        ? contender
        : { contender, samples: new Map(), totalMs: 0, rounds: 0 };
      runners.set(kind.name, runner);
    }
    for (let round = 0; round < experiment.rounds; round++) {
      for (const [name, runner] of runners) {
        if (isAbsent(runner) || runner.failure !== undefined || runner.totalMs > CONTENDER_MS_MAX) continue;
        onStep(`${experiment.title}: ${name}`);
        await runRound(runner, experiment);
      }
    }
  } finally {
    for (const runner of runners.values()) if (!isAbsent(runner)) await runner.contender.close();
  }
  const cellOf = (runner: Runner | Absent, step: string): Cell =>
    isAbsent(runner) ? runner : (runner.failure ?? summarize(runner.samples.get(step)!));
  const rows = experiment.visits.flat().map(
    ({ name: what, budgetMs }): Row => ({
      what,
      unit: 'ms',
      cells: Object.fromEntries([...runners].map(([name, runner]) => [name, cellOf(runner, what)])),
      ...(budgetMs === undefined ? {} : { budget: budgetMs }),
    }),
  );
  const { title } = experiment;
  const notes = [...experiment.notes, ...skippedRounds(runners, experiment.rounds)];
  return { title, peers: PEERS, own: [OWN], columns: OTHER_MODES, rows, notes };
}

async function find(root: string, files: number): Promise<number> {
  const command = 'find "$1" -type f | wc -l';
  const { output, elapsedMs } = await timeProgram(STEP_MS_MAX, 'sh', '-c', command, 'sh', root);
  if (Number(output) !== files) throw new Error(`find sees ${output} files, not ${files}`);
  return elapsedMs;
}

/** Reads every file, by a search for a word that none has. grep exits with 1 then, which the shell turns into 0. */
async function grep(root: string): Promise<number> {
  const command = 'grep -rqF "a word that is nowhere" "$1"; test $? = 1';
  return (await timeProgram(STEP_MS_MAX, 'sh', '-c', command, 'sh', root)).elapsedMs;
}

async function searching(context: BenchContext): Promise<Section> {
  const { hostDirectory, files } = await context.treeStore();
  const count = files.toLocaleString('en-US');
  const budget = files === 100_000 ? { budgetMs: GREP_BUDGET_MS } : {};
  await grep(hostDirectory);
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
        'each first run is in its own copy, with the source in memory; the copy on ext4 is made by cp -a, not timed',
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

async function gitStatus(root: string): Promise<number> {
  // The copy belongs to the user that made it; git refuses directories of others.
  const args = ['-c', `safe.directory=${root}`, '-C', root, 'status', '--porcelain'];
  const { output, elapsedMs } = await timeProgram(STEP_MS_MAX, 'git', ...args);
  if (output !== '') throw new Error(`git sees changes: ${output.slice(0, 80)}`);
  return elapsedMs;
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
          'the first compares every file by content, since inode numbers and ctimes differ from those in the index',
        ],
      },
      context,
    ),
  ];
}

/** A directory with this project's package.json and lock file. */
function makePackage(work: WorkDirectory): string {
  const root = work.join('package');
  mkdirSync(root);
  const project = fileURLToPath(new URL('../../../', import.meta.url));
  for (const name of ['package.json', 'package-lock.json'])
    copyFileSync(`${project}${name}`, `${root}/${name}`);
  return root;
}

async function npmCi(root: string, cache: string, ...more: readonly string[]): Promise<number> {
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent', '--cache', cache, ...more];
  return (await timeProgram(STEP_MS_MAX, 'npm', 'ci', '--prefix', root, ...flags)).elapsedMs;
}

async function installing(context: BenchContext): Promise<Section[]> {
  const source = makePackage(context.work);
  const cache = context.work.join('npm-cache');
  const trial = context.work.join('package-trial');
  context.onStep('filling a cache of packages');
  runProgram('cp', '-a', source, trial);
  try {
    await npmCi(trial, cache);
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
