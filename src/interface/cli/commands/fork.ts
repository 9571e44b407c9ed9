/** `ramet fork`: a writable copy of a snapshot or fork, made in constant time. */
import type { Command } from 'commander';
import type { StoreEngine, TreeInfo } from '../../../store/index.ts';
import { examples } from '../examples.ts';
import { writeJson, writeLine } from '../output.ts';
import { namedTreeError, namingTree, withSession } from '../session.ts';
import { treeObject } from '../tree-object.ts';

export function register(program: Command): void {
  program
    .command('fork')
    .description('make a writable fork of a snapshot or of another fork')
    .argument('<from>', 'the snapshot or fork to start from')
    .argument('[name]', 'name of the fork (else FROM-1, FROM-2, …)')
    .addHelpText('after', examples('ramet fork base try-1', 'ramet fork base'))
    .action((from: string, given: string | undefined, _flags: object, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson } = session;
        namingTree(from, () => engine.info(from));
        const name = given ?? freeName(engine, from);
        let info: TreeInfo;
        try {
          info = await session.fork(from, name);
        } catch (error) {
          throw namedTreeError(name, namedTreeError(from, error));
        }
        if (isJson) await writeJson(treeObject(info));
        else await writeLine(given === undefined ? name : `forked '${from}' as '${name}'`);
      }),
    );
}

/** The first free of FROM-1, FROM-2, … */
function freeName(engine: StoreEngine, from: string): string {
  const taken = new Set(engine.list().map((tree) => tree.name));
  let number = 1;
  while (taken.has(`${from}-${number}`)) number++;
  return `${from}-${number}`;
}
