/** `ramet owner`: the background process that serves the mounts of a store. */
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { OwnerClient, OwnerPlace, readableLine } from '../../owner/index.ts';
import { examples } from '../examples.ts';
import { counted, formatBytes, formatTime, printable, writeJson, writeLine } from '../output.ts';
import { CommandError } from '../problem.ts';
import { storeOf } from '../session.ts';

interface LogFlags {
  readonly lines: number;
}

export function register(program: Command): void {
  const owner = program
    .command('owner')
    .description('show or end the background process that serves mounts, or show its log')
    .addHelpText('after', examples('ramet owner status', 'ramet owner stop', 'ramet owner log --lines 20'));
  owner
    .command('status')
    .description('show whether it runs, since when, and what it serves')
    .addHelpText('after', examples('ramet owner status', 'ramet owner status --json'))
    .action((_flags: object, command: Command) => {
      const { directory, isJson } = storeOf(command);
      return showStatus(directory, isJson);
    });
  owner
    .command('stop')
    .description('unmount everything, lazily where it is busy, and end it')
    .addHelpText('after', examples('ramet owner stop'))
    .action((_flags: object, command: Command) => {
      const { directory, isJson } = storeOf(command);
      return stop(directory, isJson);
    });
  owner
    .command('log')
    .description('show the end of its log')
    .option('--lines <count>', 'lines at most', wholeNumber, 50)
    .addHelpText('after', examples('ramet owner log', 'ramet owner log --lines 5 --json'))
    .action((flags: LogFlags, command: Command) => {
      const { directory, isJson } = storeOf(command);
      return showLog(directory, flags.lines, isJson);
    });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1.');
  return value;
}

async function showStatus(store: string, isJson: boolean): Promise<void> {
  const owner = await OwnerClient.connect(store);
  if (owner === undefined) {
    if (isJson) await writeJson({ isRunning: false });
    else await writeLine('no owner process runs: `ramet mount` starts one');
    return;
  }
  try {
    const status = await owner.request('status', {});
    if (isJson) {
      await writeJson({ isRunning: true, ...status });
      return;
    }
    const since = formatTime(Date.parse(status.since) / 1000);
    await writeLine(`process ${status.pid} since ${since}, ${formatBytes(status.residentBytes)} of memory`);
    await writeLine(`${counted(status.mounts, 'mount')}, ${counted(status.connections, 'other connection')}`);
    await writeLine(`it ends by itself after ${status.idleMs / 1000} s without either`);
  } finally {
    owner.close();
  }
}

async function stop(store: string, isJson: boolean): Promise<void> {
  const owner = await OwnerClient.connectAnyVersion(store);
  if (owner === undefined) throw new CommandError('ESRCH', 'no owner process runs for this store');
  const { pid } = await owner.request('stop', {});
  await owner.untilEnded();
  if (isJson) await writeJson({ pid });
  else await writeLine(`stopped process ${pid}`);
}

async function showLog(store: string, linesMax: number, isJson: boolean): Promise<void> {
  const { logPath } = new OwnerPlace(store);
  const lines = readLines(`${logPath}.1`).concat(readLines(logPath)).slice(-linesMax);
  if (isJson) await writeJson(lines.map(parsed));
  else for (const line of lines) await writeLine(printable(readableLine(line)));
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** What Node.js itself has written there is no JSON. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return { msg: line };
  }
}
