/** Runs benchmarks and prints their tables, as `[name…] [--quick] [--json] [--dir DIRECTORY]` asks for. */
import { constants, cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { Absent } from '../../src/demo/index.ts';
import { installPeers } from '../peers/packages.ts';
import type { BenchContext, Benchmark } from './bench-context.ts';
import { QUICK, THOROUGH } from './sampling.ts';
import { formatSection, isMet, ratioOf, type Section } from './table.ts';
import { stopPrograms } from './timed-program.ts';
import { makeTreeStore, type TreeStore } from './tree-store.ts';
import { WorkDirectory } from './work-directory.ts';

const EXIT_USAGE = 2;

interface Options {
  readonly benchmarks: readonly Benchmark[];
  readonly isQuick: boolean;
  readonly isJson: boolean;
  readonly directory: string | undefined;
}

function parseOptions(known: readonly Benchmark[]): Options {
  const { values, positionals } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      dir: { type: 'string' },
    },
    allowPositionals: true,
  });
  const benchmarks = positionals.map((name) => {
    const found = known.find((benchmark) => benchmark.name === name);
    if (found === undefined) throw new Error(`there is no benchmark '${name}'`);
    return found;
  });
  return {
    benchmarks: benchmarks.length > 0 ? benchmarks : known,
    isQuick: values.quick,
    isJson: values.json,
    directory: values.dir,
  };
}

function usage(script: string, known: readonly Benchmark[], problem: unknown): string {
  const names = known.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n');
  const message = problem instanceof Error ? problem.message : String(problem);
  return `${script}: ${message}\nusage: npm run ${script} -- [name…] [--quick] [--json] [--dir DIRECTORY]\n${names}\n`;
}

function machine(): string {
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores, ${memoryGiB} GiB, ${process.platform} ${release()}, Node ${process.version}`;
}

function showStep(step: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\x1b[K${step} …`);
}

function clearStep(): void {
  if (process.stderr.isTTY === true) process.stderr.write('\r\x1b[K');
}

/** The section for --json, with the values that the table derives from its figures. */
function toJson(section: Section): unknown {
  const rows = section.rows.map((row) => ({
    ...row,
    ratio: ratioOf(section, row),
    isMet: isMet(section, row),
  }));
  return { ...section, rows };
}

async function measure({ benchmarks, isQuick, isJson, directory }: Options): Promise<void> {
  const work = new WorkDirectory(directory);
  const interrupt = (signal: NodeJS.Signals): void => {
    stopPrograms();
    work.remove();
    process.exit(128 + constants.signals[signal]);
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  let tree: Promise<TreeStore> | undefined;
  let packages: string | Absent | undefined;
  const context: BenchContext = {
    work,
    isQuick,
    sampling: isQuick ? QUICK : THOROUGH,
    onStep: showStep,
    treeStore: () => {
      showStep('making a tree of many files');
      tree ??= isQuick ? makeTreeStore(work, 200, 10_000) : makeTreeStore(work, 2000, 100_000);
      return tree;
    },
    peerPackages: () => {
      showStep('installing peers');
      packages ??= installPeers(work);
      return packages;
    },
  };
  const sections: Section[] = [];
  try {
    if (!isJson) console.log(`${machine()}\n`);
    for (const benchmark of benchmarks) {
      const found = [await benchmark.run(context)].flat() as Section[]; // The cast: one section or a list, flattened.
      clearStep();
      sections.push(...found);
      if (!isJson) for (const section of found) console.log(`${formatSection(section)}\n`);
    }
    if (isJson)
      console.log(JSON.stringify({ machine: machine(), sections: sections.map(toJson) }, undefined, 2));
  } finally {
    clearStep();
    work.remove();
  }
}

/** Does the work of `npm run <script>`: runs all benchmarks, or those named on the command line. */
export async function runBenchmarks(script: string, known: readonly Benchmark[]): Promise<void> {
  let options: Options;
  try {
    options = parseOptions(known);
  } catch (error) {
    process.stderr.write(usage(script, known, error));
    process.exitCode = EXIT_USAGE;
    return;
  }
  await measure(options);
}
