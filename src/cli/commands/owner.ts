/** `ramet owner`: shows or ends the background process that serves the mounts of a store. */
import type { Command } from 'commander';
import {
  OwnerClient,
  OwnerPlace,
  type OwnerStatus,
  parsedLine,
  readableLine,
  readLog,
} from '../../owner/index.ts';
import { examples, wholeNumber } from '../command-line.ts';
import { counted, formatBytes, formatTime, type Lines, print } from '../output.ts';
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
    .description('show whether the owner process runs, since when, and what it serves')
    .addHelpText('after', examples('ramet owner status', 'ramet owner status --json'))
    .action((_flags: object, command: Command) => {
      const { directory, isJson } = storeOf(command);
      return showStatus(directory, isJson);
    });
  owner
    .command('stop')
    .description('unmount everything, busy mounts lazily, and end the owner process')
    .addHelpText('after', examples('ramet owner stop'))
    .action((_flags: object, command: Command) => {
      const { directory, isJson } = storeOf(command);
      return stop(directory, isJson);
    });
  owner
    .command('log')
    .description('show the end of the log of the owner process')
    .option('--lines <count>', 'lines at most', wholeNumber, 50)
    .addHelpText('after', examples('ramet owner log', 'ramet owner log --lines 5 --json'))
    .action((flags: LogFlags, command: Command) => {
      const { directory, isJson } = storeOf(command);
      return showLog(directory, flags.lines, isJson);
    });
}

async function showStatus(store: string, isJson: boolean): Promise<void> {
  const owner = await OwnerClient.connect(store);
  if (owner === undefined) {
    await print(isJson, { isRunning: false }, () => ['no owner process runs: `ramet mount` starts one']);
    return;
  }
  try {
    await print(isJson, { isRunning: true, ...(await owner.request('status', {})) }, tell);
  } finally {
    owner.close();
  }
}

function* tell({ pid, since, residentBytes, mounts, connections, idleMs }: OwnerStatus): Lines {
  const started = formatTime(Date.parse(since) / 1000);
  yield `process ${pid} since ${started}, ${formatBytes(residentBytes)} of memory`;
  yield `${counted(mounts, 'mount')}, ${counted(connections, 'other connection')}`;
  yield `it ends by itself after ${idleMs / 1000} s without either`;
}

async function stop(store: string, isJson: boolean): Promise<void> {
  const owner = await OwnerClient.connectAnyVersion(store);
  if (owner === undefined) throw new CommandError('ESRCH', 'no owner process runs for this store');
  const { pid } = await owner.request('stop', {});
  await owner.untilEnded();
  await print(isJson, { pid }, () => [`stopped process ${pid}`]);
}

async function showLog(store: string, linesMax: number, isJson: boolean): Promise<void> {
  const { logPath } = new OwnerPlace(store);
  const lines = readLog(logPath).slice(-linesMax);
  await print(isJson, lines.map(parsedLine), () => lines.map(readableLine));
}
