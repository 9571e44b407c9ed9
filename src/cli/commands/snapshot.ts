/** `ramet snapshot`: freezes the present state of a fork under a name of its own. */
import type { Command } from 'commander';
import { treeObject } from '../attributes.ts';
import { examples } from '../command-line.ts';
import { print } from '../output.ts';
import { namingTrees, withSession } from '../session.ts';

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
        const info = await namingTrees([from, name], () => trees.snapshot(from, name));
        await print(isJson, treeObject(info), () => [`made snapshot '${name}' of '${from}'`]);
      }),
    );
}
