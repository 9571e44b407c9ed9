/** `ramet snapshot`: freezes what a fork is now under a name of its own. */
import type { Command } from 'commander';
import type { TreeInfo } from '../../store/index.ts';
import { examples } from '../examples.ts';
import { writeJson, writeLine } from '../output.ts';
import { namedTreeError, withSession } from '../session.ts';
import { treeObject } from '../tree-object.ts';

export function register(program: Command): void {
  program
    .command('snapshot')
    .description('make a snapshot of a fork as it is now')
    .argument('<fork>', 'the fork (or snapshot)')
    .argument('<name>', 'name of the snapshot')
    .addHelpText('after', examples('ramet snapshot try-1 done'))
    .action((from: string, name: string, _flags: object, command: Command) =>
      withSession(command, async (session) => {
        const { trees, isJson } = session;
        session.info(from);
        let info: TreeInfo;
        try {
          info = await trees.snapshot(from, name);
        } catch (error) {
          throw namedTreeError(name, namedTreeError(from, error));
        }
        if (isJson) await writeJson(treeObject(info));
        else await writeLine(`made snapshot '${name}' of '${from}'`);
      }),
    );
}
