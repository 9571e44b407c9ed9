/** Measures lookups of names through a chain of layers, in a fresh process with empty caches. */
import { readdirSync, statSync } from 'node:fs';
import { StoreEngine } from '../../src/store/index.ts';
import { contenderArgument } from '../measure/contender.ts';
import { summarizeSingle } from '../measure/sampling.ts';
import { type DepthArgument, type DepthResult, layerFile } from './cases.ts';

/** The calls to measure. `stat` returns undefined for a missing name. */
interface Calls {
  stat(path: string): unknown;
  list(path: string): unknown;
}

const ROUNDS = 20;

function timesUs(count: number, call: (index: number) => void): number[] {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const started = process.hrtime.bigint();
    call(index);
    times.push(Number(process.hrtime.bigint() - started) / 1000);
  }
  return times;
}

function measure(calls: Calls, { depth, directories }: DepthArgument, layers: number): DepthResult {
  const base = (round: number) => (index: number) => {
    if (calls.stat(`/d${index % directories}/f${round + Math.floor(index / directories)}`) === undefined)
      throw new Error('a name is not there');
  };
  const middle = Math.max(1, depth >> 1);
  // Warms up: looks up the directories themselves, and lets V8 compile the code.
  timesUs(directories * 2, base(0));
  const result = {
    base: summarizeSingle(timesUs(directories * ROUNDS, base(2))),
    middle: summarizeSingle(timesUs(50, (index) => calls.stat(layerFile(middle, index, directories)))),
    missing: summarizeSingle(
      timesUs(directories * ROUNDS, (index) => calls.stat(`/d${index % directories}/none-${index}`)),
    ),
    again: summarizeSingle(timesUs(directories * ROUNDS, base(2))),
    readdir: summarizeSingle(timesUs(directories, (index) => calls.list(`/d${index}`))),
  };
  return { ...result, layers };
}

const argument = contenderArgument<DepthArgument>();
const { root, storeDirectory, tree: name } = argument;
let result: DepthResult;
if (storeDirectory !== undefined && name !== undefined) {
  // No flattening, which would change the chain while it is measured.
  const engine = await StoreEngine.open(storeDirectory, { chainLayersMax: Number.POSITIVE_INFINITY });
  const { fileSystem, stack } = engine.openTree(name);
  const calls: Calls = {
    stat: (path) => fileSystem.tryStat(path, true),
    list: (path) => fileSystem.readDirectory(path),
  };
  result = measure(calls, argument, stack.lowers.length);
  await engine.close();
} else {
  const calls: Calls = {
    stat: (path) => statSync(`${root}${path}`, { throwIfNoEntry: false }),
    list: (path) => readdirSync(`${root}${path}`, { withFileTypes: true }),
  };
  result = measure(calls, argument, argument.depth);
}
process.stdout.write(JSON.stringify(result));
