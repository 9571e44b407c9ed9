/** `ramet demo`: forks a real tree many times, checks every byte of every fork, and shows what it costs. */
import type { Command } from 'commander';
import { type DemoResult, type DemoTimes, isAbsent, runDemo } from '../../demo/index.ts';
import { examples, sizeBytes, wholeNumber } from '../command-line.ts';
import { counted, formatBytes, formatCount, print, table } from '../output.ts';
import { CommandError, EXIT_FAILURE } from '../problem.ts';
import { storePlaceOf } from '../session.ts';

interface DemoFlags {
  readonly dir?: string;
  readonly tree?: string;
  readonly size: number;
  readonly forks: number;
}

const SIZE_BYTES = 512 * 1024 * 1024;
const FORKS = 16;
/** The exit code that shells report for a program that SIGINT ended. */
const EXIT_INTERRUPTED = 130;

export function register(program: Command): void {
  program
    .command('demo')
    .description('fork a real tree many times, check every byte of every fork, and show what it costs')
    .option('--dir <directory>', 'where to make the temporary directory of the demo')
    .option('--tree <directory>', 'the tree to import (else the nearest node_modules)')
    .option('--size <size>', 'size of the large file, for example 64MiB', size, SIZE_BYTES)
    .option('--forks <count>', 'how many forks', wholeNumber, FORKS)
    .addHelpText('after', examples('ramet demo', 'ramet demo --tree ./repo --size 64MiB --forks 4 --json'))
    .action((flags: DemoFlags, command: Command) => demo(flags, storePlaceOf(command).isJson));
}

async function demo(flags: DemoFlags, isJson: boolean): Promise<void> {
  const interrupted = new AbortController();
  const onInterrupt = (): void => interrupted.abort();
  process.once('SIGINT', onInterrupt).once('SIGTERM', onInterrupt);
  const started = performance.now();
  try {
    const result = await runDemo({
      directory: flags.dir,
      tree: flags.tree,
      sizeBytes: flags.size,
      forks: flags.forks,
      signal: interrupted.signal,
      onStep: isJson ? undefined : showStep,
    });
    const seconds = (performance.now() - started) / 1000;
    await print(isJson, { ...result, seconds }, () => tell(result, seconds));
    if (result.problems.length > 0) process.exitCode = EXIT_FAILURE;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    const cause = 'the demo was interrupted; nothing of it is left';
    throw new CommandError('ECANCELED', cause, undefined, EXIT_INTERRUPTED);
  } finally {
    process.off('SIGINT', onInterrupt).off('SIGTERM', onInterrupt);
    clearStep();
  }
}

function size(text: string): number {
  return sizeBytes(text, 0, 'It must be a size, such as 64MiB.');
}

function showStep(step: string): void {
  if (process.stderr.isTTY === true) process.stderr.write(`\r\x1b[K${step} …`);
}

function clearStep(): void {
  if (process.stderr.isTTY === true) process.stderr.write('\r\x1b[K');
}

async function tell(result: DemoResult, seconds: number): Promise<string[]> {
  const { checked, forks, problems, problemsLeftOut } = result;
  const figures = await table(['', 'here', `${forks} copies`], rowsOf(result));
  const bytes = `${formatBytes(checked.readBytes)} read and ${formatBytes(checked.mappedBytes)} mapped`;
  const verdict =
    problems.length === 0
      ? `Every byte of every fork is what it must be: ${bytes}, in ${seconds.toFixed(1)} s.`
      : `${problems.length + problemsLeftOut} PROBLEMS in ${bytes}:`;
  return [...figures, '', verdict, ...problems.map((problem) => `  ${problem}`)];
}

type Row = readonly [what: string, here: string, copies: string];

function rowsOf(result: DemoResult): Row[] {
  const { disk, forks } = result;
  return [
    ['tree', `${counted(result.files, 'file')}, ${formatBytes(result.treeBytes)}`, ''],
    ['forks', `${forks}, each with one 4 KiB page and a few small files of its own`, ''],
    ['time to fork', showTimes(result.forkTime), ''],
    ['first 4 KiB write to the large file', showTimes(result.firstWriteTime), ''],
    ['disk, the tree imported', formatBytes(disk.importedBytes), ''],
    ['disk, added by all forks', formatBytes(disk.grownBytes), formatBytes(disk.sourceBytes * forks)],
    ...memoryRows(result),
    ...frameRows(result),
  ];
}

function memoryRows({ memory, bigFileBytes, forks }: DemoResult): Row[] {
  const title = `memory, the large file (${formatBytes(bigFileBytes)}) read in all forks`;
  const { cachedGrownBytes: cached, residentBeforeBytes: before, residentAfterBytes: after } = memory;
  const rows: Row[] = [];
  const grown = isAbsent(cached)
    ? `not measured: ${cached.absentBecause}`
    : `Cached of the machine grew by ${formatBytes(cached)}`;
  rows.push([title, grown, formatBytes(bigFileBytes * forks)]);
  if (isAbsent(before) || isAbsent(after)) return rows;
  rows.push(['  pages of the store in memory', `${formatBytes(after)} (before: ${formatBytes(before)})`, '']);
  return rows;
}

function frameRows({ frames }: DemoResult): Row[] {
  if (isAbsent(frames)) return [['physical frames', `not shown: ${frames.absentBecause}`, '']];
  const behind = `${formatCount(frames.distinctFrames)} behind ${formatCount(frames.pages)} mapped pages`;
  const rows: Row[] = [['physical frames, all forks', behind, formatCount(frames.pages)]];
  rows.push([`  page of the large file`, frames.forks.join('    '), '']);
  for (const { page, note, frames: numbers } of frames.rows) {
    const shown = numbers
      .map((frame, at) => `0x${frame.toString(16)}`.padEnd(frames.forks[at]!.length))
      .join('  ');
    rows.push([`  ${formatCount(page)}, ${note}`, shown, '']);
  }
  return rows;
}

function showTimes({ medianMs, maxMs }: DemoTimes): string {
  return `${medianMs.toFixed(3)} ms median, ${maxMs.toFixed(3)} ms at most`;
}
