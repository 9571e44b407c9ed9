/** `ramet drop`: removes forks and snapshots by name. */
import type { Command } from 'commander';
import { examples } from '../command-line.ts';
import { print } from '../output.ts';
import { mountedProblem, namingTrees, withSession } from '../session.ts';

export function register(program: Command): void {
  program
    .command('drop')
    .description('remove forks or snapshots; `ramet gc` gives their space back')
    .argument('<names...>', 'forks or snapshots')
    .addHelpText('after', examples('ramet drop try-1', 'ramet drop try-1 try-2 && ramet gc'))
    .action((names: string[], _flags: object, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson, trees } = session;
        const dropped = [...new Set(names)];
        // If one of the names is wrong, nothing is dropped.
        for (const name of dropped) session.info(name);
        const mount = (await trees.mounted.list()).find(({ fork }) => names.includes(fork));
        if (mount !== undefined) throw mountedProblem(mount, 'drop it');
        for (const name of dropped) await namingTrees([name], () => engine.drop(name));
        await print(isJson, { dropped }, () => dropped.map((name) => `dropped '${name}'`));
      }),
    );
}
