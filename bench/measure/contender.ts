/**
 * Runs one contender of a benchmark in a process of its own, so that the contenders share no compiled code, heap or
 * cache. The child prints one JSON value.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Runs the program at `script` with one JSON argument, and parses what it prints. */
export async function runContender<Result>(script: URL, argument: unknown): Promise<Result> {
  const args = ['--expose-gc', fileURLToPath(script), JSON.stringify(argument)];
  const { stdout } = await run(process.execPath, args, { maxBuffer: 2 ** 26 });
  // The cast: the programs belong to the benchmarks, and print what the caller asks for.
  return JSON.parse(stdout) as Result;
}

/** The argument that `runContender` gave to this process. */
export function contenderArgument<Argument>(): Argument {
  return JSON.parse(process.argv[2] ?? 'null') as Argument; // The cast: runContender made this text from an Argument.
}
