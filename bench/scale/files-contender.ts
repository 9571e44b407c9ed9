/** A tree of a given number of files: lookups and listings in one contender, in its own process. */
import * as hostFs from 'node:fs';
import { Store } from '../../src/library/index.ts';
import type { MeasuredFs } from '../library/trees.ts';
import { contenderArgument } from '../measure/contender.ts';
import { summarize, summarizeSingle } from '../measure/sampling.ts';
import { type FilesArgument, type FilesResult, filePath, LOOKUPS } from './cases.ts';

const FORKS = 20;
const LISTINGS = 3;

function timesUs(count: number, call: (index: number) => void): number[] {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const started = process.hrtime.bigint();
    call(index);
    times.push(Number(process.hrtime.bigint() - started) / 1000);
  }
  return times;
}

function measure(fs: MeasuredFs, root: string, files: number): FilesResult {
  // Looks up files spread over the whole tree. Another 100 come first, uncounted, to warm up the code.
  const step = Math.max(1, Math.floor(files / (LOOKUPS + 100)));
  const stat = (index: number): void => void fs.statSync(`${root}${filePath((index * step) % files)}`);
  for (let index = LOOKUPS; index < LOOKUPS + 100; index++) stat(index);
  const count = Math.min(LOOKUPS, files - 100);
  const firstStat = summarizeSingle(timesUs(count, stat));
  const statAgain = summarizeSingle(timesUs(count, stat));
  const list = (): number => fs.readdirSync(`${root}/wide`).length;
  const perName = (times: readonly number[]): number[] => times.map((time) => time / files);
  const firstReaddir = summarize(perName(timesUs(1, list)));
  const readdirAgain = summarize(perName(timesUs(LISTINGS, list)));
  if (list() !== files) throw new Error('the wide directory does not have all names');
  return { firstStat, statAgain, firstReaddir, readdirAgain };
}

async function measureRamet(storeDirectory: string, files: number): Promise<FilesResult> {
  globalThis.gc?.();
  const residentBefore = process.memoryUsage.rss();
  const started = performance.now();
  const store = await Store.open(storeDirectory);
  const openMs = performance.now() - started;
  const base = await store.snapshot('base');
  const forkTimes: number[] = [];
  for (let at = 0; at < FORKS; at++) {
    const before = performance.now();
    const fork = await base.fork(`fork-${process.pid}-${at}`);
    forkTimes.push(performance.now() - before);
    await fork.close();
  }
  const fork = await base.fork(`measured-${process.pid}`);
  const result = measure(fork.fs as MeasuredFs, '', files);
  globalThis.gc?.();
  const residentMib = (process.memoryUsage.rss() - residentBefore) / 2 ** 20;
  await store.close();
  return {
    ...result,
    openMs: summarize([openMs]),
    forkMs: summarizeSingle(forkTimes),
    residentMib: summarize([residentMib]),
  };
}

const argument = contenderArgument<FilesArgument>();
const result =
  argument.kind === 'host'
    ? measure(hostFs as MeasuredFs, argument.root, argument.files)
    : await measureRamet(argument.storeDirectory, argument.files);
process.stdout.write(JSON.stringify(result));
