/** `ramet fork`: a writable copy of a snapshot or fork, made in constant time. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { StoreEngine, TreeInfo } from '../../../store/index.ts';
import { examples } from '../examples.ts';
import { writeJson, writeLine } from '../output.ts';
import { CommandError } from '../problem.ts';
import { namedTreeError, namingTree, withSession } from '../session.ts';
import { treeObject } from '../tree-object.ts';

interface ForkFlags {
  readonly pin?: boolean;
}

export function register(program: Command): void {
  program
    .command('fork')
    .description('make a writable fork of a snapshot or of another fork')
    .argument('<from>', 'the snapshot or fork to start from, or a directory: ./DIR or /DIR')
    .argument('[name]', 'name of the fork (else FROM-1, FROM-2, …)')
    .option(
      '--pin',
      'of a directory: the first change of a file takes its bytes, so that it may change afterwards',
    )
    .addHelpText('after', examples('ramet fork base try-1', 'ramet fork base', 'ramet fork ./repo try-1'))
    .action((from: string, given: string | undefined, flags: ForkFlags, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson } = session;
        const isHost = isHostPath(from);
        if (!isHost) requireTree(engine, from, flags);
        const name = given ?? freeName(engine, isHost ? path.basename(path.resolve(from)) : from);
        let info: TreeInfo;
        try {
          info = isHost
            ? session.forkHost(path.resolve(from), name, flags.pin === true)
            : await session.fork(from, name);
        } catch (error) {
          throw namedTreeError(name, isHost ? error : namedTreeError(from, error));
        }
        if (isJson) await writeJson(treeObject(info));
        else await writeLine(given === undefined ? name : `forked '${from}' as '${name}'`);
      }),
    );
}

/** A tree's name has no slash: what has one, or is the directory itself, is a path. */
function isHostPath(from: string): boolean {
  return from.includes('/') || from === '.' || from === '..';
}

function requireTree(engine: StoreEngine, from: string, { pin }: ForkFlags): void {
  try {
    namingTree(from, () => engine.info(from));
  } catch (error) {
    if (error instanceof CommandError && existsSync(from))
      throw new CommandError(
        'ENOENT',
        `there is no fork or snapshot named '${from}'`,
        `a directory is named ./${from}`,
      );
    throw error;
  }
  if (pin === true) throw new CommandError('EINVAL', '--pin is for a fork of a directory', 'leave it out');
}

/** The first free of FROM-1, FROM-2, … */
function freeName(engine: StoreEngine, from: string): string {
  const taken = new Set(engine.list().map((tree) => tree.name));
  let number = 1;
  while (taken.has(`${from}-${number}`)) number++;
  return `${from}-${number}`;
}
