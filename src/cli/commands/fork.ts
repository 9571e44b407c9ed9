/** `ramet fork`: makes a writable copy of trees or of a directory, in constant time. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { forkOver, isHostPath, type StoreEngine, type TreeInfo } from '../../store/index.ts';
import { treeObject } from '../attributes.ts';
import { examples } from '../command-line.ts';
import { print } from '../output.ts';
import { CommandError, usageError } from '../problem.ts';
import { type CommandSession, namingTrees, withSession } from '../session.ts';

interface ForkFlags {
  readonly pin?: boolean;
  readonly lower?: readonly string[];
}

export function register(program: Command): void {
  program
    .command('fork')
    .description('make a writable fork of a snapshot or of another fork, or of several')
    .argument('[from]', 'the snapshot or fork to start from, or a directory: ./DIR or /DIR; not with --lower')
    .argument('[name]', 'name of the fork (else FROM-1, FROM-2, …)')
    .option(
      '--lower <tree>',
      'a tree or directory to start from; given several times, they are merged, the first one uppermost',
      (lower: string, others: readonly string[] = []) => [...others, lower],
    )
    .option(
      '--pin',
      'for a directory: the first change to a file takes over its bytes, so that the host file may change afterwards',
    )
    .addHelpText(
      'after',
      examples(
        'ramet fork base try-1',
        'ramet fork base',
        'ramet fork ./repo try-1',
        'ramet fork --lower layer-2 --lower layer-1 image',
      ),
    )
    .action(
      async (first: string | undefined, second: string | undefined, flags: ForkFlags, command: Command) => {
        const { lowers, given } = whatToFork(first, second, flags.lower);
        await withSession(command, async (session) => {
          const { engine, isJson } = session;
          const pin = flags.pin === true;
          for (const lower of lowers) if (!isHostPath(lower)) requireTree(session, lower);
          if (pin && !lowers.some(isHostPath))
            throw new CommandError('EINVAL', '--pin is for a fork of a directory', 'leave it out');
          const places = lowers.map((lower) => (isHostPath(lower) ? path.resolve(lower) : lower));
          const name = given ?? freeName(engine, path.basename(places[0]!));
          const info = await makeFork(session, places, name, pin);
          const forked = `forked ${lowers.map((lower) => `'${lower}'`).join(', ')} as '${name}'`;
          await print(isJson, treeObject(info), () => [given === undefined ? name : forked]);
        });
      },
    );
}

/** The lowers and the name of the fork, from the arguments and `--lower`. */
function whatToFork(
  first: string | undefined,
  second: string | undefined,
  flagged: readonly string[] | undefined,
): { readonly lowers: readonly string[]; readonly given: string | undefined } {
  if (flagged === undefined) {
    if (first === undefined) throw usageError("missing required argument 'from'", 'see `ramet fork --help`');
    return { lowers: [first], given: second };
  }
  if (second !== undefined)
    throw usageError(`with --lower only the name is left, not '${second}'`, 'name every lower with --lower');
  return { lowers: flagged, given: first };
}

async function makeFork(
  { engine, trees }: CommandSession,
  places: readonly string[],
  name: string,
  pin: boolean,
): Promise<TreeInfo> {
  const [from, ...others] = places;
  if (from !== undefined && others.length === 0 && !isHostPath(from))
    return await namingTrees([from, name], () => trees.fork(from, name));
  return await namingTrees([name], () => {
    forkOver(engine, places, name, pin).close();
    return engine.info(name);
  });
}

function requireTree(session: CommandSession, from: string): void {
  try {
    session.info(from);
  } catch (error) {
    if (error instanceof CommandError && existsSync(from))
      throw new CommandError(
        'ENOENT',
        `there is no fork or snapshot named '${from}'`,
        `a directory is named ./${from}`,
      );
    throw error;
  }
}

/** The first free of FROM-1, FROM-2, … */
function freeName(engine: StoreEngine, from: string): string {
  const taken = new Set(engine.list().map((tree) => tree.name));
  let number = 1;
  while (taken.has(`${from}-${number}`)) number++;
  return `${from}-${number}`;
}
