/** `npm run model`: plays histories from seeds on the model and on a store; shrinks and prints a history that fails. */
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { commandOf, describeShrunk, type Play, type PlayResult, play, shrinkPlay } from './play-seed.ts';

interface Options {
  readonly seed?: number;
  readonly seeds: readonly [first: number, last: number];
  readonly operations: number;
  readonly only?: readonly number[];
  readonly processes: number;
}

function wholeNumber(text: string): number {
  if (!/^[0-9]+$/.test(text)) throw new InvalidArgumentError('it is to be a whole number');
  return Number(text);
}

function positiveNumber(text: string): number {
  const number = wholeNumber(text);
  if (number === 0) throw new InvalidArgumentError('it is to be at least 1');
  return number;
}

function seedRange(text: string): readonly [number, number] {
  const match = /^([0-9]+)\.\.([0-9]+)$/.exec(text);
  if (match === null || Number(match[1]) > Number(match[2]))
    throw new InvalidArgumentError('it is to be a range such as 1..200');
  return [Number(match[1]), Number(match[2])];
}

function numberList(text: string): readonly number[] {
  return text.split(',').map(wholeNumber);
}

async function playOne(what: Play): Promise<boolean> {
  const result = await play(what);
  if (result.failure === undefined) {
    console.log(`seed ${what.seed}: ${result.played} operations agree, digest ${result.digest}`);
    return true;
  }
  console.log(`${result.failure}\nmaking it smaller …`);
  console.log(describeShrunk(await shrinkPlay(what)));
  return false;
}

/** Plays all seeds, several at a time in child processes; stops at the first that fails. */
async function playAll({ seeds: [first, last], operations, processes }: Options): Promise<boolean> {
  const started = performance.now();
  let next = first;
  let played = 0;
  let failed: Play | undefined;
  const worker = fileURLToPath(new URL('./worker.js', import.meta.url));
  const runs = Array.from({ length: Math.min(processes, last - first + 1) }, async () => {
    const child = fork(worker);
    try {
      while (next <= last && failed === undefined) {
        const what: Play = { seed: next++, count: operations };
        const result = await new Promise<PlayResult>((resolve, reject) => {
          child.once('message', (answer) => resolve(answer as PlayResult)); // The cast: worker.ts sends this.
          child.once('exit', (code, signal) =>
            reject(new Error(`${commandOf(what)}: ended with ${code ?? signal}`)),
          );
          child.send(what);
        });
        child.removeAllListeners('exit');
        played += result.played;
        if (result.failure !== undefined) failed ??= what;
      }
    } finally {
      if (child.connected) child.disconnect();
    }
  });
  await Promise.all(runs);
  if (failed !== undefined) return await playOne(failed);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${played} operations over ${last - first + 1} seeds agree: ${seconds} s in ${runs.length} processes`,
  );
  return true;
}

const options = new Command('model')
  .description('Plays random histories on the model and on a store, and compares them.')
  .addOption(new Option('--seed <n>', 'one seed').argParser(wholeNumber).conflicts('seeds'))
  .addOption(new Option('--seeds <a..b>', 'several seeds').argParser(seedRange).default([1, 200], '1..200'))
  .addOption(new Option('--operations <n>', 'operations of each').argParser(positiveNumber).default(1000))
  .addOption(new Option('--only <i,j,…>', 'of one seed only these operations').argParser(numberList))
  .addOption(
    new Option('--processes <n>', 'seeds at a time')
      .argParser(positiveNumber)
      .default(availableParallelism()),
  )
  .parse()
  .opts<Options>();

const { seed, operations: count, only } = options;
const agrees =
  seed === undefined
    ? await playAll(options)
    : await playOne(only === undefined ? { seed, count } : { seed, count, only });
process.exitCode = agrees ? 0 : 1;
