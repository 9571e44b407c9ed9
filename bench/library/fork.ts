/** Forking a tree of many files, compared with copying it and with mounting an overlay over it. */
import * as hostFs from 'node:fs';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { type Absent, isAbsent } from '../../src/demo/index.ts';
import { type Fork, Store } from '../../src/library/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { summarize, summarizeSingle } from '../measure/sampling.ts';
import type { Cell, Row, Sampled, Section } from '../measure/table.ts';
import type { TreeStore } from '../measure/tree-store.ts';
import { runProgram, type WorkDirectory, whyNotRoot } from '../measure/work-directory.ts';

const FORKS = 200;
const OVERLAY_MOUNTS = 20;
const READING_ROUNDS = 3;
/** An import may take twice as long as a copy. */
const IMPORT_BUDGET = 2;

interface ForkFigures {
  readonly clean: Sampled;
  readonly cleanAndFile: Sampled;
  readonly inUse: Sampled;
}

/** Milliseconds since the last call of the returned function. */
function stopwatch(): () => number {
  let last = process.hrtime.bigint();
  return () => {
    const now = process.hrtime.bigint();
    const elapsed = Number(now - last) / 1e6;
    last = process.hrtime.bigint();
    return elapsed;
  };
}

/** A path that every tree of `makeHostTree` has. */
const SOME_FILE = '/part-0/module-1/file-1.ts';

async function forkFigures(tree: TreeStore, count: number): Promise<ForkFigures> {
  const store = await Store.open(tree.storeDirectory);
  const base = await store.snapshot(tree.snapshot);
  const clean: number[] = [];
  const cleanAndFile: number[] = [];
  for (let at = 0; at < count; at++) {
    const elapsed = stopwatch();
    const fork = await base.fork(`clean-${at}`);
    const forkMs = elapsed();
    clean.push(forkMs);
    fork.fs.readFileSync(SOME_FILE);
    cleanAndFile.push(forkMs + elapsed());
    await fork.close();
  }
  const inUse = await forksOfForkInUse(await base.fork('in-use'), count);
  await store.close();
  return {
    clean: summarizeSingle(clean),
    cleanAndFile: summarizeSingle(cleanAndFile),
    inUse: summarizeSingle(inUse),
  };
}

/** Forks a fork `count` times; each time one file of the source has a change that is not stored yet. */
async function forksOfForkInUse(source: Fork, count: number): Promise<number[]> {
  const samples: number[] = [];
  for (let at = 0; at < count; at++) {
    source.fs.writeFileSync(SOME_FILE, `change ${at}`);
    const elapsed = stopwatch();
    const fork = await source.fork(`of-fork-${at}`);
    samples.push(elapsed());
    await fork.close();
  }
  await source.close();
  return samples;
}

/** The calls of a walk that reads everything. */
interface WalkCalls {
  readdirSync(path: string, options: { readonly withFileTypes: true }): readonly WalkEntry[];
  readFileSync(path: string): { readonly length: number };
}

interface WalkEntry {
  readonly name: string;
  isDirectory(): boolean;
}

/** Reads every file below a directory, as `grep -r` would; returns the bytes. */
function readTree(fs: WalkCalls, directory: string): number {
  let bytes = 0;
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    bytes += entry.isDirectory() ? readTree(fs, path) : fs.readFileSync(path).length;
  }
  return bytes;
}

/** Milliseconds to read everything in each of a few fresh forks, and in the tree on the host. Both are warm. */
async function readingTimes(tree: TreeStore): Promise<{ readonly host: Sampled; readonly fork: Sampled }> {
  const host: number[] = [];
  const fork: number[] = [];
  for (let round = 0; round < READING_ROUNDS; round++) {
    let elapsed = stopwatch();
    const hostBytes = readTree(hostFs, tree.hostDirectory);
    host.push(elapsed());
    const store = await Store.open(tree.storeDirectory);
    const fresh = await (await store.snapshot(tree.snapshot)).fork(`read-${round}`);
    elapsed = stopwatch();
    const forkBytes = readTree(fresh.fs, '/.');
    fork.push(elapsed());
    await store.close();
    if (hostBytes !== forkBytes) throw new Error(`the fork has ${forkBytes} bytes, the host ${hostBytes}`);
  }
  return { host: summarize(host), fork: summarize(fork) };
}

/** Milliseconds of one `cp`, with the source in the page cache. */
function copyTime(tree: TreeStore, target: string, ...flags: readonly string[]): Cell {
  const elapsed = stopwatch();
  try {
    runProgram('cp', '-a', ...flags, tree.hostDirectory, target);
    return summarize([elapsed()]);
  } catch {
    return { absentBecause: `cp ${flags.join(' ')} fails on this host's filesystem` };
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

function overlayTimes(tree: TreeStore, work: WorkDirectory): Sampled | Absent {
  const reason = whyNotRoot();
  if (reason !== undefined) return { absentBecause: reason };
  const samples: number[] = [];
  for (let at = 0; at < OVERLAY_MOUNTS; at++) {
    const [upper, scratch, point] = ['upper', 'scratch', 'point'].map((name) =>
      work.join(`overlay-${at}`, name),
    );
    for (const directory of [upper!, scratch!, point!]) mkdirSync(directory, { recursive: true });
    const options = `lowerdir=${tree.hostDirectory},upperdir=${upper},workdir=${scratch}`;
    const elapsed = stopwatch();
    try {
      runProgram('mount', '-t', 'overlay', 'overlay', '-o', options, point!);
    } catch {
      return { absentBecause: 'an overlay cannot be mounted over this host directory' };
    }
    samples.push(elapsed());
    const unmount = work.onRemove(() => runProgram('umount', point!));
    statSync(`${point}${SOME_FILE}`);
    unmount();
  }
  return summarizeSingle(samples);
}

async function run({ work, isQuick, onStep, treeStore }: BenchContext): Promise<Section> {
  const tree = await treeStore();
  onStep('forks');
  const own = await forkFigures(tree, isQuick ? FORKS / 10 : FORKS);
  onStep('reading all of a fork');
  const reading = await readingTimes(tree);
  onStep('cp -a');
  const copy = copyTime(tree, work.join('copy'));
  onStep('cp -a --reflink');
  const reflink = copyTime(tree, work.join('copy'), '--reflink=always');
  onStep('overlay mounts');
  const overlay = overlayTimes(tree, work);
  const peers = { 'cp -a': copy, 'cp --reflink': reflink, 'overlay mount': overlay };
  const [files, directories] = [tree.files, tree.directories].map((count) => count.toLocaleString('en-US'));
  const shape = `${files} files in ${directories} directories`;
  const importing: Row = {
    what: `import of ${shape}`,
    unit: 'ms',
    cells: { 'cp -a': copy, Ramet: summarize([tree.importMs]) },
    ...(isAbsent(copy) ? {} : { budget: copy.median * IMPORT_BUDGET }),
  };
  return {
    title: 'Forks',
    peers: ['node:fs', ...Object.keys(peers)],
    own: ['Ramet'],
    rows: [
      { what: `fork of ${shape}`, unit: 'ms', cells: { ...peers, Ramet: own.clean }, budget: 1 },
      { what: 'the same, and the first file read in it', unit: 'ms', cells: { Ramet: own.cleanAndFile } },
      { what: 'fork of a fork with one change not stored yet', unit: 'ms', cells: { Ramet: own.inUse } },
      {
        what: 'walk a fresh fork and read all its files',
        unit: 'ms',
        cells: { 'node:fs': reading.host, Ramet: reading.fork },
      },
      importing,
    ],
    notes: [
      'a copy is made once; node:fs reads the tree on the host, which is warm as the store is',
      'a fork is durable when it returns, a copy and an overlay mount are not',
      'an overlay mount includes the start of mount(8)',
    ],
  };
}

export const forkBenchmark: Benchmark = {
  name: 'fork',
  about: 'forking a tree of many files, beside copying it and mounting an overlay over it',
  run,
};
