/** `ramet drop`: removes forks and snapshots by name. */
import type { Command } from 'commander';
import { examples } from '../examples.ts';
import { writeJson, writeLine } from '../output.ts';
import { mountedProblem, namingTree, withSession } from '../session.ts';

export function register(program: Command): void {
  program
    .command('drop')
    .description('remove forks or snapshots; `ramet gc` gives their space back')
    .argument('<names...>', 'forks or snapshots')
    .addHelpText('after', examples('ramet drop try-1', 'ramet drop try-1 try-2 && ramet gc'))
    .action((names: string[], _flags: object, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson, trees } = session;
        // Nothing is dropped when one of the names is wrong.
        for (const name of names) session.info(name);
        const mount = (await trees.mounted.list()).find(({ fork }) => names.includes(fork));
        if (mount !== undefined) throw mountedProblem(mount, 'drop it');
        for (const name of new Set(names)) namingTree(name, () => engine.drop(name));
        if (isJson) await writeJson({ dropped: [...new Set(names)] });
        else for (const name of new Set(names)) await writeLine(`dropped '${name}'`);
      }),
    );
}
